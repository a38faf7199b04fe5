import Foundation
import Testing

@testable import baton

private let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

private func read(_ path: String) throws -> String {
    try String(contentsOf: root.appending(path: path), encoding: .utf8)
}

/// Every Swift file below Sources.
private func sources() throws -> [String: String] {
    let walker = try #require(FileManager.default.enumerator(atPath: root.appending(path: "Sources").path))
    var files: [String: String] = [:]
    for case let path as String in walker where path.hasSuffix(".swift") { files[path] = try read("Sources/" + path) }
    return files
}

/// What follows `baton ` in a text that tells a person what to type. `systemctl start baton` and its like are no such.
private func commands(in text: String) -> [[String]] {
    let pattern = /(?<before>\S+\s+)?\bbaton(?<words>(?: +[A-Za-z0-9_.…:\/@'-]+)+)/
    let units = ["start", "restart", "stop", "reload", "status", "-u", "for"]
    return text.matches(of: pattern).compactMap { match in
        let before = match.output.before.map { $0.trimmingCharacters(in: .whitespaces) } ?? ""
        guard !units.contains(before) else { return nil }
        // A full stop ends the sentence, not the word.
        return match.output.words.split(separator: " ").map { String($0.hasSuffix(".") ? $0.dropLast() : $0) }
    }
}

/// Why a command would be refused; nil when it is there, with its options.
private func complaint(_ words: [String]) -> String? {
    let matching = Baton.commands.filter { words.starts(with: $0.path) }.max { $0.path.count < $1.path.count }
    // A group by itself lists what it has.
    if words.count == 1, Baton.commands.contains(where: { $0.path[0] == words[0] }) { return nil }
    guard let command = matching else { return "baton \(words.joined(separator: " ")) is no command" }
    // `send` and `sink` read their own options.
    guard command.runWords == nil else { return nil }
    for word in words where word.hasPrefix("--") && word != "--help" {
        let name = String(word.dropFirst(2).prefix { $0 != "=" })
        guard command.options.contains(where: { $0.name == name }) else {
            return "baton \(command.path.joined(separator: " ")) has no option \(word)"
        }
    }
    return nil
}

@Suite("The runbook")
struct RunbookTests {
    @Test("every problem that the program can name has an entry here and in ops/runbook.md, and no entry is of none")
    func problems() throws {
        var names: Set<String> = []
        for (path, text) in try sources() where !path.hasSuffix("Runbook.swift") {
            for match in text.matches(of: /(?:Problem\(\s*name:|\bproblem\()\s*"(?<name>[a-z-]+)"/) {
                names.insert(String(match.output.name))
            }
        }
        #expect(names.count > 15, "only \(names)")
        #expect(Set(Runbook.entries.map(\.name)) == names)
        #expect(Set(Runbook.entries.map(\.name)).count == Runbook.entries.count)
        let book = try read("ops/runbook.md")
        for name in names { #expect(book.contains("\n| `\(name)` |"), "ops/runbook.md lacks \(name)") }
    }

    @Test("no advice names a command or option that does not exist")
    func advice() throws {
        var texts = Runbook.entries.map(\.text)
        for command in Baton.commands { texts += command.examples }
        for (path, text) in try sources()
        where path.hasPrefix("Node/") || path.hasPrefix("Admin/") || path.hasPrefix("Relay/") {
            texts += text.matches(of: /"(?<text>[^"\n]*\bbaton [^"\n]*)"/).map { String($0.output.text) }
        }
        for path in ["ops/runbook.md", "ops/prometheus/baton.rules.yml"] { texts.append(try read(path)) }
        let found = texts.flatMap(commands)
        #expect(found.count > 60)
        for words in found {
            let complaint = complaint(words)
            #expect(complaint == nil)
        }
    }

    @Test("entries fit a terminal")
    func width() {
        for entry in Runbook.entries {
            for line in entry.text.split(separator: "\n") { #expect(line.count <= 125, "\(entry.name): \(line)") }
        }
    }
}
