import Primitives

/// One object of the file: gives its values by type, and reports what is not as expected, unknown or not in this version.
///
/// Each getter answers nil when the key is missing or its value was reported, so that the caller's default stands.
struct ConfigurationSection {
    let path: String
    let place: JSON5.Place
    let report: ConfigurationReport
    private let members: [JSON5.Member]

    /// Reports keys beyond `keys`; those of `reserved` have their meaning in a later version.
    init?(_ value: JSON5, at path: String, keys: [String], reserved: [String] = [], _ report: ConfigurationReport) {
        guard case .object(let members) = value.kind else {
            report.error(path, value.place, "expected an object {…}, got \(value.described)")
            return nil
        }
        self.path = path
        self.place = value.place
        self.report = report
        self.members = members
        for member in members where !keys.contains(member.key) {
            let full = self.path(member.key)
            if reserved.contains(member.key) {
                report.error(full, member.place, "not in this version; remove the key")
            } else if let best = nearest(member.key, of: keys) ?? nearest(member.key, of: reserved) {
                report.error(full, member.place, "unknown key; did you mean \(best)?")
            } else {
                report.error(full, member.place, "unknown key; known here: \(keys.joined(separator: ", "))")
            }
        }
    }

    /// An object whose keys are the user's own.
    init?(anyKeysOf value: JSON5, at path: String, _ report: ConfigurationReport) {
        guard case .object(let members) = value.kind else {
            report.error(path, value.place, "expected an object {…}, got \(value.described)")
            return nil
        }
        self.path = path
        self.place = value.place
        self.report = report
        self.members = members
    }

    var keys: [String] { members.map(\.key) }

    func path(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    func value(_ key: String) -> JSON5? { members.first { $0.key == key }?.value }

    /// Where a key stands, or the section when it is missing.
    func place(of key: String) -> JSON5.Place { members.first { $0.key == key }?.place ?? place }

    func error(_ key: String, _ text: String) { report.error(path(key), place(of: key), text) }

    func warning(_ key: String, _ text: String) { report.warning(path(key), place(of: key), text) }

    func section(_ key: String, keys: [String], reserved: [String] = []) -> ConfigurationSection? {
        value(key).flatMap { ConfigurationSection($0, at: path(key), keys: keys, reserved: reserved, report) }
    }

    // MARK: Plain values

    /// A text that is not empty.
    func string(_ key: String, _ expectation: String = "a text in quotes") -> String? {
        value(key).flatMap { string($0, path(key), expectation) }
    }

    private func string(_ value: JSON5, _ path: String, _ expectation: String) -> String? {
        guard case .string(let text) = value.kind, !text.isEmpty else {
            report.error(path, value.place, "expected \(expectation), got \(value.described)")
            return nil
        }
        return text
    }

    func boolean(_ key: String) -> Bool? {
        guard let value = value(key) else { return nil }
        guard case .boolean(let flag) = value.kind else {
            report.error(path(key), value.place, "expected true or false, got \(value.described)")
            return nil
        }
        return flag
    }

    func integer(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let value = value(key) else { return nil }
        guard case .number(let number) = value.kind, let whole = Int(exactly: number), range.contains(whole) else {
            let bounds = "a whole number from \(range.lowerBound) to \(range.upperBound)"
            report.error(path(key), value.place, "expected \(bounds), got \(value.described)")
            return nil
        }
        return whole
    }

    func number(_ key: String, in range: ClosedRange<Double>) -> Double? {
        guard let value = value(key) else { return nil }
        guard case .number(let number) = value.kind, range.contains(number) else {
            let bounds = "a number from \(range.lowerBound) to \(range.upperBound)"
            report.error(path(key), value.place, "expected \(bounds), got \(value.described)")
            return nil
        }
        return number
    }

    /// One of a type's names; `later` are those that a later version knows.
    func choice<T: RawRepresentable<String>>(_ key: String, of all: [T], later: [String] = []) -> T? {
        guard let value = value(key) else { return nil }
        if case .string(let text) = value.kind {
            if let found = T(rawValue: text), all.contains(where: { $0.rawValue == text }) { return found }
            if later.contains(text) {
                report.error(path(key), value.place, "\"\(text)\" is not in this version; \(oneOf(all))")
                return nil
            }
        }
        report.error(path(key), value.place, "expected \(oneOf(all)), got \(value.described)")
        return nil
    }

    private func oneOf<T: RawRepresentable<String>>(_ all: [T]) -> String {
        "one of " + all.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    }

    // MARK: Values with units

    func duration(_ key: String, in range: ClosedRange<Duration>) -> Duration? {
        value(key).flatMap { duration($0, at: path(key), in: range) }
    }

    func duration(_ value: JSON5, at path: String, in range: ClosedRange<Duration>) -> Duration? {
        guard case .string(let text) = value.kind, let duration = Duration(text: text) else {
            report.error(path, value.place, "expected a duration such as \"30s\" or \"2h\", got \(value.described)")
            return nil
        }
        guard range.contains(duration) else {
            let bounds = "\(range.lowerBound.short) to \(range.upperBound.short)"
            report.error(path, value.place, "expected a duration from \(bounds), got \"\(text)\"")
            return nil
        }
        return duration
    }

    func size(_ key: String, in range: ClosedRange<ByteCount>) -> ByteCount? {
        guard let value = value(key) else { return nil }
        guard case .string(let text) = value.kind, let size = ByteCount(text: text) else {
            report.error(path(key), value.place, "expected a size such as \"50MiB\", got \(value.described)")
            return nil
        }
        guard range.contains(size) else {
            let bounds = "\(range.lowerBound) to \(range.upperBound)"
            report.error(path(key), value.place, "expected a size from \(bounds), got \"\(text)\"")
            return nil
        }
        return size
    }

    func hostPort(_ key: String) -> HostPort? {
        guard let text = string(key, "an address and port such as \"127.0.0.1:7480\"") else { return nil }
        guard let parsed = HostPort(text: text), parsed.isNumeric else {
            error(key, "expected an address and port such as \"127.0.0.1:7480\" or \"[::1]:7480\", got \"\(text)\"")
            return nil
        }
        return parsed
    }

    // MARK: Lists

    func list(_ key: String) -> [(value: JSON5, path: String)]? {
        guard let value = value(key) else { return nil }
        guard case .array(let items) = value.kind else {
            report.error(path(key), value.place, "expected a list […], got \(value.described)")
            return nil
        }
        return items.enumerated().map { ($1, "\(path(key))[\($0)]") }
    }

    /// A list of texts; one text alone is a list of one.
    func strings(_ key: String, _ expectation: String = "a text in quotes") -> [(
        text: String, value: JSON5, path: String
    )]? {
        value(key).flatMap { strings(in: $0, at: path(key), expectation) }
    }

    func strings(
        in value: JSON5, at path: String, _ expectation: String
    ) -> [(text: String, value: JSON5, path: String)]? {
        if case .string(let text) = value.kind, !text.isEmpty { return [(text, value, path)] }
        guard case .array(let items) = value.kind else {
            report.error(path, value.place, "expected a list […], got \(value.described)")
            return nil
        }
        return items.enumerated().compactMap { index, item in
            let place = "\(path)[\(index)]"
            return string(item, place, expectation).map { ($0, item, place) }
        }
    }
}
