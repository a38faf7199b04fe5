import Testing

@testable import Relay

private func read(_ text: String) throws(JSON5Error) -> JSON5 { try JSON5Reader.read(Array(text.utf8)) }

/// The value as plain JSON, for comparison.
private func plain(_ value: JSON5) -> String {
    switch value.kind {
    case .array(let items): "[" + items.map(plain).joined(separator: ",") + "]"
    case .object(let members): "{" + members.map { "\($0.key):\(plain($0.value))" }.joined(separator: ",") + "}"
    default: value.described
    }
}

@Suite("JSON5")
struct ConfigurationJSON5Tests {
    @Test(
        "everything that JSON5 adds to JSON is read (spec.json5.org)",
        arguments: [
            ("{a:1,'b':2,\"c\":3,}", "{a:1,b:2,c:3}"), ("[1,2,]", "[1,2]"), ("// x\n[/* y\n */]", "an empty list"),
            ("[.5,5.,0x1F,+1,-2,1e3]", "[0.5,5.0,31,1,-2,1000]"), ("'it\\'s'", "\"it's\""), ("\"a\\\nb\"", "\"ab\""),
            ("\"\\u00e4\\x41\\n\"", "\"äA\n\""), ("\"\\ud83d\\ude00\"", "\"😀\""), ("{$_ü: null}", "{$_ü:null}"),
            ("\u{feff}true", "true"),
        ])
    func extensions(_ text: String, _ expected: String) throws {
        let value = try read(text)
        #expect(
            (expected == "an empty list" ? value.described : plain(value)).replacing(".0", with: "")
                == expected.replacing(".0", with: ""))
    }

    @Test("every value knows its line and column")
    func places() throws {
        guard case .object(let members) = try read("// one\n{ a: 1,\n  'b': [\n2] }").kind else {
            throw JSON5Error(place: .init(line: 0, column: 0), text: "")
        }
        #expect(members[0].place == .init(line: 2, column: 3))
        #expect(members[0].value.place == .init(line: 2, column: 6))
        guard case .array(let items) = members[1].value.kind else { return }
        #expect(items[0].place == .init(line: 4, column: 1))
    }

    @Test(
        "what is not JSON5 is told with its line",
        arguments: [
            ("", 1, "expected a value, got the end of the file"),
            ("{", 1, "expected } for the { of line 1, got the end of the file"),
            ("{a:1\n b:2}", 2, "expected a comma or } (opened in line 1), got b"),
            ("{a:1,\na:2}", 2, "a stands twice: first in line 1"),
            ("{a: 5MiB}", 1, "expected a number, got 5MiB; a value with a unit needs quotes: \"5MiB\""),
            ("{a: off}", 1, "expected a value, got off; a text needs quotes: \"off\""),
            ("{a: 'x\n}", 1, "a text in quotes does not end in its line"),
            ("{a: /* x", 1, "the comment that begins in line 1 does not end"),
            ("{} {}", 1, "expected the end of the file after the closing }, got {"),
            ("{a 1}", 1, "expected : after a, got 1"), ("[1,,2]", 1, "expected a value, got ,"),
        ])
    func errors(_ text: String, _ line: Int, _ message: String) {
        let error = #expect(throws: JSON5Error.self) { try read(text) }
        #expect(error?.place.line == line)
        #expect(error?.text == message)
    }

    @Test("nesting has an end, and no truncation or flipped byte of the example crashes the reader")
    func hostile() {
        #expect(throws: JSON5Error.self) { try read(String(repeating: "[", count: 100_000)) }
        let example = Array(Configuration.example.utf8)
        for end in stride(from: 0, to: example.count, by: 7) {
            _ = Configuration.read(Array(example[..<end]))
            var flipped = example
            flipped[end] ^= 0x15
            _ = Configuration.read(flipped)
        }
    }
}
