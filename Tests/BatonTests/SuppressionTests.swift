import Admin
import FoundationEssentials
import Testing

@testable import baton

@Suite("Suppression lists as text")
struct SuppressionTests {
    private func list(_ text: String) throws -> SuppressionList { try SuppressionList(Array(text.utf8)) }

    @Test("one address a line needs no header")
    func plain() throws {
        let list = try list("ann@example.net\n\n  bob@example.net\r\n@example.org")
        #expect(list.entries.map(\.entry.address) == ["ann@example.net", "bob@example.net", "@example.org"])
        #expect(list.entries.map(\.line) == [1, 3, 4])
    }

    @Test("a header names the columns, in any order, with quotes; unknown ones are passed over")
    func table() throws {
        let list = try list(
            "\u{feff}Reason,Email,until,colour\n\"no, \"\"thanks\"\"\nplease\",ann@example.net,2027-01-01,red\n"
                + ",bob@example.net,,\nbad,row\n")
        #expect(list.entries.map(\.entry.address) == ["ann@example.net", "bob@example.net"])
        #expect(list.entries[0].entry.reason == "no, \"thanks\"\nplease")
        #expect(list.entries[0].entry.until == "2027-01-01" && list.entries[1].entry.until == nil)
        #expect(list.entries.map(\.line) == [2, 4])
        #expect(list.bad == [.init(line: 5, address: "row", text: "expected 4 columns, got 2")])
    }

    @Test("what is no list is refused in words")
    func malformed() {
        let noColumn = #expect(throws: SuppressionList.Malformed.self) { try list("name,colour\nann,red\n") }
        #expect(noColumn?.text.contains("a column named address") == true)
        let noEnd = #expect(throws: SuppressionList.Malformed.self) { try list("address\n\"ann@example.net\n") }
        #expect(noEnd?.text == "a quotation does not end")
    }

    @Test("what export writes, import reads")
    func roundTrip() throws {
        let json = """
            {"address":"ann@example.net","cause":"bounce","reason":"550 5.1.1 \\"gone\\", sorry","by":"baton",
            "upstream":"ses","at":"2026-11-24T12:04:31.123Z","until":"2027-02-22T12:04:31.123Z"}
            """
        let entry = try JSONDecoder().decode(SuppressionAnswer.self, from: Data(json.utf8))
        let text = "address,cause,reason,by,upstream,at,until\n" + SuppressionText.csv(entry) + "\n"
        let read = try #require(try list(text).entries.first).entry
        #expect(read.address == entry.address && read.cause == entry.cause && read.reason == entry.reason)
        #expect(read.upstream == entry.upstream && read.at == entry.at && read.until == entry.until)
    }

    @Test("tables fit, and say what is beyond the limit")
    func text() throws {
        let answer: SuppressionsAnswer = try JSONDecoder().decode(
            SuppressionsAnswer.self,
            from: Data(
                """
                {"matched":3,"suppressions":[{"address":"ann@example.net","cause":"bounce","reason":"550 5.1.1 no such user",
                "by":"baton","upstream":"ses","at":"2026-11-24T12:04:31.123Z","until":"2027-02-22T12:04:31.123Z"}]}
                """.utf8))
        #expect(
            SuppressionText.list(answer) == """
                ADDRESS          CAUSE   SINCE       UNTIL       BY   REASON
                ann@example.net  bounce  2026-11-24  2027-02-22  ses  550 5.1.1 no such user
                and 2 more: --limit N, a filter, or baton suppressions export

                """)
        #expect(SuppressionText.words(5, 0, 0, 1) == "5 added · 1 left out")
        #expect(SuppressionText.words(0, 0, 0, 0) == "nothing to do")
    }

    @Test("rules as a table")
    func rules() throws {
        let answer = try JSONDecoder().decode(
            RulesAnswer.self,
            from: Data(
                """
                {"rules":[{"mail":"user","value":"shop","action":"reject","by":"ann","reason":"stolen",
                "at":"2026-11-24T12:04:31.123Z"},{"mail":"toDomain","value":"x.example","action":"redirect","upstream":"own",
                "by":"bob","reason":"","at":"2026-11-24T12:04:31.123Z","until":"2026-12-01T12:04:31.123Z"}]}
                """.utf8))
        #expect(
            RuleText.list(answer) == """
                MAIL          ACTION           SINCE              UNTIL              BY   REASON
                of user shop  reject           2026-11-24T12:04Z  -                  ann  stolen
                to x.example  redirect to own  2026-11-24T12:04Z  2026-12-01T12:04Z  bob  -

                """)
        #expect(try RuleText.list(RulesAnswer.empty) == "no mail is suspended, held or redirected\n")
    }
}

extension RulesAnswer {
    fileprivate static var empty: RulesAnswer {
        get throws { try JSONDecoder().decode(RulesAnswer.self, from: Data("{\"rules\":[]}".utf8)) }
    }
}
