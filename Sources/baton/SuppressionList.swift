internal import Admin
internal import Glibc

/// Comma-separated values as RFC 4180 has them.
enum CSV {
    static func field(_ text: String) -> String {
        guard text.utf8.contains(where: { [0x2c, 0x22, 0x0a, 0x0d].contains($0) }) else { return text }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
    }

    struct Row: Equatable {
        /// Where it begins, from 1.
        var line: Int
        var fields: [String]
    }

    /// Rows, empty lines left out; nil when a quotation does not end.
    static func rows(_ bytes: [UInt8]) -> [Row]? {
        var rows: [Row] = []
        var fields: [String] = []
        var field: [UInt8] = []
        var line = 1
        var begun = 1
        var isQuoted = false
        func close() -> String { String(decoding: field, as: UTF8.self) }
        var index = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            switch byte {
            case 0x22 where isQuoted && index < bytes.count && bytes[index] == 0x22:
                field.append(byte)
                index += 1
            case 0x22 where isQuoted: isQuoted = false
            case 0x22 where field.isEmpty: isQuoted = true
            case 0x2c where !isQuoted:
                fields.append(close())
                field = []
            case 0x0d where !isQuoted: break
            case 0x0a where !isQuoted:
                fields.append(close())
                field = []
                if fields != [""] { rows.append(Row(line: begun, fields: fields)) }
                fields = []
                line += 1
                begun = line
            default:
                if byte == 0x0a { line += 1 }
                field.append(byte)
            }
        }
        guard !isQuoted else { return nil }
        if !field.isEmpty || !fields.isEmpty { rows.append(Row(line: begun, fields: fields + [close()])) }
        return rows
    }
}

/// What `suppressions import` reads: a table whose header row names an `address` column, or one address a line.
struct SuppressionList {
    struct Malformed: Error { var text: String }

    struct Bad: Equatable {
        var line: Int
        var address: String
        var text: String
    }

    private(set) var entries: [(line: Int, entry: SuppressionsRequest.Entry)] = []
    private(set) var bad: [Bad] = []

    private static let columns = ["address", "cause", "reason", "by", "upstream", "at", "until"]

    init(_ bytes: [UInt8]) throws(Malformed) {
        guard var rows = CSV.rows(bytes)?[...] else { throw Malformed(text: "a quotation does not end") }
        guard let first = rows.first else { return }
        var places = ["address": 0]
        var width = 1
        let names = first.fields.map { SuppressionList.trimmed($0).lowercased() }
        if !names.contains(where: { $0.contains("@") }) {
            guard let place = names.firstIndex(where: { ["address", "email", "recipient"].contains($0) }) else {
                throw Malformed(
                    text: "line \(first.line): expected a header row with a column named address, or one address a line"
                )
            }
            places = [:]
            for (index, name) in names.enumerated() where SuppressionList.columns.contains(name) {
                places[name] = index
            }
            places["address"] = place
            width = names.count
            rows.removeFirst()
        }
        for row in rows {
            let address = SuppressionList.trimmed(row.fields[min(places["address"] ?? 0, row.fields.count - 1)])
            guard row.fields.count == width else {
                bad.append(
                    Bad(line: row.line, address: address, text: "expected \(width) columns, got \(row.fields.count)"))
                continue
            }
            func field(_ name: String) -> String? {
                guard let place = places[name] else { return nil }
                let text = SuppressionList.trimmed(row.fields[place])
                return text.isEmpty ? nil : text
            }
            var entry = SuppressionsRequest.Entry(address: address)
            entry.cause = field("cause")
            entry.reason = field("reason")
            entry.upstream = field("upstream")
            entry.at = field("at")
            entry.until = field("until")
            entries.append((row.line, entry))
        }
    }

    private static func trimmed(_ text: String) -> String {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        return String(text.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
    }
}

/// Whole files by name; `-` is standard input. Nil or false with `errno` set.
enum FileContent {
    static func read(_ name: String) -> [UInt8]? {
        let descriptor = name == "-" ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { if name != "-" { close(descriptor) } }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return bytes }
            bytes.append(contentsOf: buffer[..<count])
        }
    }

    static func write(_ bytes: [UInt8], to name: String) -> Bool {
        let descriptor = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }
}
