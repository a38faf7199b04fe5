import Testing

@testable import baton

@Suite("baton classify")
struct ClassifyTests {
    private func table(_ text: String) throws -> [ReplyTable.Row] {
        try ReplyTable(Array(text.utf8), named: "replies.tsv").replies
    }

    @Test("columns in any order, only code and text are needed, others are passed over")
    func columns() throws {
        let rows = try table("class\ttext\tCode\nspam\tNo such user\\nbye\t550\r\n\n\thello\t\n")
        #expect(
            rows == [
                ReplyTable.Row(line: 2, code: 550, text: "No such user\nbye"),
                ReplyTable.Row(line: 4, code: nil, text: "hello"),
            ])
        let full = try table("code\tenhanced\ttext\tprovider\tstage\n421\t4.7.0\tslow\tgoogle\tconnect\n")
        #expect(
            full == [
                ReplyTable.Row(
                    line: 2, code: 421, enhanced: "4.7.0", text: "slow", provider: "google", stage: "connect")
            ])
        #expect(try table("code\ttext\n").isEmpty)
    }

    @Test(
        "what cannot be read is named by its line",
        arguments: [
            ("", "replies.tsv:1: expected a header row with tabs between, with code and text, got nothing"),
            ("550 no\n", "replies.tsv:1: expected a header row with tabs between, with code and text, got: 550 no"),
            ("code\ttext\n550\tx\n550\n", "replies.tsv:3: expected 2 fields as in line 1, got 1"),
            ("code\ttext\nx\ty\n", "replies.tsv:2: expected a code from 200 to 599 or nothing, got x"),
            ("code\ttext\n99\ty\n", "replies.tsv:2: expected a code from 200 to 599 or nothing, got 99"),
        ])
    func errors(text: String, message: String) {
        let error = #expect(throws: CommandFailure.self) { try table(text) }
        #expect(error?.text == message)
        #expect(error?.code == 2)
    }

    @Test("a file that is not there exits 2")
    func exitCodes() async {
        #expect(await Baton.run(["classify", "/nonexistent"]) == 2)
        #expect(await Baton.run(["classify", "--rules", "/nonexistent", "/nonexistent"]) == 2)
        #expect(await Baton.run(["classify", "a", "b"]) == 2)
    }
}
