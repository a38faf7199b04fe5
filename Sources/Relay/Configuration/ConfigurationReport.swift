/// Something that a configuration file says wrongly, worded for the person who wrote it.
package struct ConfigurationProblem: Hashable, Sendable, CustomStringConvertible {
    /// `smtp.listeners[0].address`; empty for the file as a whole.
    package var path: String
    /// Counted from 1; 0 when the problem has no place.
    package var line: Int
    package var text: String

    package init(path: String, line: Int, text: String) {
        self.path = path
        self.line = line
        self.text = text
    }

    package var description: String {
        (path.isEmpty ? "" : path + ": ") + (line > 0 ? "line \(line): " : "") + text
    }
}

/// Collects everything wrong with a file, so that one check tells all of it.
///
/// A class, because sections read side by side report into one; it lives on the stack of one call of `Configuration.read`.
final class ConfigurationReport {
    var errors: [ConfigurationProblem] = []
    var warnings: [ConfigurationProblem] = []

    func error(_ path: String, _ place: JSON5.Place?, _ text: String) {
        errors.append(ConfigurationProblem(path: path, line: place?.line ?? 0, text: text))
    }

    func warning(_ path: String, _ place: JSON5.Place?, _ text: String) {
        warnings.append(ConfigurationProblem(path: path, line: place?.line ?? 0, text: text))
    }
}

/// The known name that a mistyped one most likely means: the smallest edit distance, if it is small enough to be a slip.
package func nearest(_ word: String, of known: [String]) -> String? {
    let limit = max(2, word.count / 3)
    let scored = known.map { (name: $0, distance: editDistance(word.lowercased(), $0.lowercased())) }
    guard let best = scored.min(by: { $0.distance < $1.distance }), best.distance <= limit else { return nil }
    return best.name
}

/// Levenshtein distance, a neighbouring swap counting one ('Damerau', optimal string alignment).
private func editDistance(_ a: String, _ b: String) -> Int {
    let a = Array(a.utf8)
    let b = Array(b.utf8)
    guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
    var rows = [Array(0...b.count)]
    for i in 1...a.count {
        var row = [i]
        for j in 1...b.count {
            var best = min(row[j - 1] + 1, rows[i - 1][j] + 1, rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { best = min(best, rows[i - 2][j - 2] + 1) }
            row.append(best)
        }
        rows.append(row)
    }
    return rows[a.count][b.count]
}
