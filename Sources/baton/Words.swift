internal import Primitives

/// Whole numbers from ten up, a digit after the point below.
func rate(_ value: Double) -> String {
    if value > 0, value < 9.95 {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
    return grouped(Int(value.rounded()))
}

func counted(_ count: Int, _ one: String, _ many: String? = nil) -> String {
    "\(grouped(count)) \(count == 1 ? one : many ?? one + "s")"
}

/// Parts with ` · ` between them, in lines that fit.
func wrapped(_ parts: [String], lead: String, indent: String) -> [String] {
    var lines = [lead]
    for (index, part) in parts.enumerated() {
        let separator = index == 0 ? "" : " · "
        if let last = lines.last, last.count + separator.count + part.count <= TextTable.width {
            lines[lines.count - 1] += separator + part
        } else {
            lines.append(indent + part)
        }
    }
    return lines
}

/// Breaks a text at spaces into lines of at most so many characters.
func folded(_ text: String, _ width: Int) -> [String] {
    var lines = [""]
    for word in printable(text).split(separator: " ", omittingEmptySubsequences: false) {
        let last = lines[lines.count - 1]
        if last.isEmpty {
            lines[lines.count - 1] = String(word)
        } else if last.count + 1 + word.count <= width {
            lines[lines.count - 1] += " " + word
        } else {
            lines.append(String(word))
        }
    }
    return lines
}

/// `8s`, `12m`, `3h`, `2d`: for a cell of a table.
func brief(_ seconds: Double) -> String {
    let whole = Int(max(0, min(seconds, 1e9)).rounded())
    if whole < 60 { return "\(whole)s" }
    if whole < 3600 { return "\(whole / 60)m" }
    return whole < 86400 ? "\(whole / 3600)h" : "\(whole / 86400)d"
}

/// `a, b and c`.
func listed(_ names: [String]) -> String {
    guard let last = names.last, names.count > 1 else { return names.first ?? "" }
    return names.dropLast().joined(separator: ", ") + " and " + last
}

/// What is missing in an answer, as a line at its end; nothing when all answered.
func silence(_ silent: [String]) -> String {
    silent.isEmpty ? "" : "not answered by: \(silent.joined(separator: ", "))\n"
}
