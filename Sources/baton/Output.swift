internal import Glibc
internal import Primitives

/// Standard output and error. Colour only on a terminal, and never with `NO_COLOR` (no-color.org).
enum Output {
    enum Tone: String { case good = "32", warning = "33", bad = "31", heading = "1" }

    static let isTerminal = isatty(STDOUT_FILENO) == 1

    static let hasColour: Bool = {
        guard isTerminal else { return false }
        let plain = environment("NO_COLOR").map { !$0.isEmpty } ?? false
        return !plain && environment("TERM") != "dumb"
    }()

    static func write(_ text: String) { write(Array(text.utf8), to: STDOUT_FILENO) }

    static func line(_ text: String) { write(text + "\n") }

    static func error(_ text: String) { write(Array((text + "\n").utf8), to: STDERR_FILENO) }

    static func tinted(_ text: String, _ tone: Tone, colour: Bool = hasColour) -> String {
        colour ? "\u{1b}[\(tone.rawValue)m\(text)\u{1b}[0m" : text
    }

    static func write(_ bytes: [UInt8], to descriptor: Int32 = STDOUT_FILENO) {
        var done = 0
        while done < bytes.count {
            let written = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress?.advanced(by: done), buffer.count - done)
            }
            if written < 0, errno == EINTR { continue }
            // A closed pipe (`baton queue list | head`) is the reader's wish.
            guard written > 0 else { return }
            done += written
        }
    }

    static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// One line of a terminal that counts up.
    static func progress(_ done: Int, of all: Int) {
        guard isatty(STDERR_FILENO) == 1 else { return }
        write(Array("\r\(grouped(done)) of \(grouped(all))\(done == all ? "\n" : "")".utf8), to: STDERR_FILENO)
    }

    /// Asks on the terminal; only `y` and `yes` are yes.
    static func confirm(_ question: String) -> Bool {
        write(Array("\(question) [y/N] ".utf8), to: STDERR_FILENO)
        let answer = readLine()?.lowercased() ?? ""
        return answer == "y" || answer == "yes"
    }
}

/// Columns for people: as wide as their widest cell, two spaces apart.
struct TextTable {
    enum Side { case left, right }

    static let width = 100

    private var heads: [(text: String, side: Side)]
    private var rows: [[String]] = []

    init(_ heads: [(String, Side)]) { self.heads = heads.map { (text: $0.0, side: $0.1) } }

    mutating func add(_ cells: [String]) { rows.append(cells.map(printable)) }

    var isEmpty: Bool { rows.isEmpty }

    /// Lines of at most `width` columns: the last column is cut when they would be longer.
    var lines: [String] {
        let widths = heads.indices.map { column in
            max(heads[column].text.count, rows.map { $0[column].count }.max() ?? 0)
        }
        return ([heads.map(\.text)] + rows).map { cells in
            var line = ""
            for (column, cell) in cells.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                line += column > 0 ? "  " : ""
                line += heads[column].side == .right ? padding + cell : cell + padding
            }
            return cut(line, TextTable.width)
        }
    }
}

/// At most so many characters, and no space at the end.
func cut(_ text: String, _ width: Int) -> String {
    func trimmed(_ text: some StringProtocol) -> String {
        String(text[..<(text.lastIndex { $0 != " " }.map(text.index(after:)) ?? text.startIndex)])
    }
    let line = trimmed(text)
    return line.count > width ? trimmed(line.prefix(width - 1)) + "…" : line
}

/// What a peer sent must not move a terminal's cursor.
func printable(_ text: String) -> String {
    String(
        String.UnicodeScalarView(
            text.unicodeScalars.map { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) ? "\u{fffd}" : $0 }))
}

/// `1,204`.
func grouped(_ number: some BinaryInteger) -> String {
    var digits = String(number.magnitude)
    var groups: [String] = []
    while digits.count > 3 {
        groups.insert(String(digits.suffix(3)), at: 0)
        digits.removeLast(3)
    }
    return (number < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
}

/// `0.2 %` below ten, `70 %` above; `-` for none.
func percentage(_ share: Double?) -> String {
    guard let share else { return "-" }
    let tenths = Int((share * 1000).rounded())
    return tenths < 100 ? "\(tenths / 10).\(tenths % 10) %" : "\((tenths + 5) / 10) %"
}

func span(_ seconds: Double?) -> String {
    guard let seconds else { return "-" }
    return Duration.nanoseconds(Int64(min(max(seconds, 0), 9e9) * 1e9)).short
}
