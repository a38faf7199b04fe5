import Testing

@testable import baton

private let options = [OptionSpec("limit", "N", ""), OptionSpec("json", nil, "")]

@Suite("Commands and their options")
struct CommandTests {
    @Test("options come before, between and after arguments, with = or without")
    func arguments() throws {
        let given = try Arguments(["x", "--limit=5", "--json", "y", "--", "--z"], options)
        #expect(given.plain == ["x", "y", "--z"])
        #expect(try given.integer("limit", in: 1...10) == 5)
        #expect(given.has("json"))
        #expect(try Arguments(["--limit", "7"], options).text("limit") == "7")
    }

    @Test(
        "wrong usage says what was expected",
        arguments: [
            (["--limt", "5"], "unknown option --limt; did you mean --limit?"), (["-x"], "unknown option -x"),
            (["--limit"], "--limit needs a value: N"), (["--json=1"], "--json takes no value"),
        ])
    func usage(_ words: [String], _ message: String) {
        let error = #expect(throws: UsageError.self) { try Arguments(words, options) }
        #expect(error?.text == message)
    }

    @Test("every command has a help with an example that begins with it, in 100 columns")
    func help() {
        for command in Baton.commands {
            let name = "baton " + command.path.joined(separator: " ")
            #expect(command.examples.contains { $0.contains(name) }, "\(name) has no example")
            for line in Help.text(of: command).split(separator: "\n") { #expect(line.count <= 100, "\(line)") }
        }
        for line in Help.overview.split(separator: "\n") { #expect(line.count <= 100, "\(line)") }
    }

    @Test("no two commands have one name, and no command has an option twice")
    func table() {
        let names = Baton.commands.map { $0.path.joined(separator: " ") }
        #expect(Set(names).count == names.count)
        for command in Baton.commands {
            #expect(Set(command.options.map(\.name)).count == command.options.count, "\(command.path)")
        }
    }

    @Test("wrong usage exits 2, no node exits 3")
    func exitCodes() async {
        #expect(await Baton.run([]) == 2)
        #expect(await Baton.run(["stauts"]) == 2)
        #expect(await Baton.run(["queue", "lits"]) == 2)
        #expect(await Baton.run(["status", "--colour"]) == 2)
        #expect(await Baton.run(["queue", "cancel", "--socket", "/nonexistent/admin.sock"]) == 2)
        #expect(await Baton.run(["queue", "cancel", "--to", "x", "--older-than", "soon"]) == 2)
        #expect(await Baton.run(["status", "--socket", "/nonexistent/admin.sock"]) == 3)
        #expect(await Baton.run(["status", "--node", "ftp://x"]) == 2)
        #expect(await Baton.run(["config", "check", "/nonexistent"]) == 1)
        #expect(await Baton.run(["serve", "--config", "/nonexistent"]) == 78)
        #expect(await Baton.run(["explain", "moon"]) == 2)
        #expect(await Baton.run(["version"]) == 0)
    }

    @Test("an HTTP answer is whole or nothing")
    func parsing() {
        let whole = Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nok".utf8)
        #expect(AdminClient.parse(whole)?.status == 200)
        #expect(AdminClient.parse(whole)?.body == Array("ok".utf8))
        for end in 0..<whole.count { #expect(AdminClient.parse(Array(whole[..<end])) == nil) }
        #expect(encoded("a b@é/+") == "a%20b%40%C3%A9%2F%2B")
    }
}
