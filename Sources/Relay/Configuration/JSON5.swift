/// A JSON5 value that knows where it stood in the file.
///
/// Foundation reads JSON5 too, but tells no positions: its syntax errors say only 'not valid', its type errors only a
/// path. A configuration error without a line is a search for the reader, so we read with a small reader of our own.
struct JSON5: Sendable {
    enum Kind: Sendable {
        case null
        case boolean(Bool)
        case number(Double)
        case string(String)
        case array([JSON5])
        case object([Member])
    }

    struct Member: Sendable {
        var key: String
        var place: Place
        var value: JSON5
    }

    /// Counted from 1; columns in bytes.
    struct Place: Hashable, Sendable {
        var line: Int
        var column: Int
    }

    var kind: Kind
    var place: Place

    var isList: Bool {
        if case .array = kind { true } else { false }
    }

    /// What it is, for 'expected …, got …'.
    var described: String {
        switch kind {
        case .null: "null"
        case .boolean(let value): value ? "true" : "false"
        case .number(let value): value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
        case .string(let value): "\"\(value)\""
        case .array(let items): items.isEmpty ? "an empty list" : "a list of \(items.count)"
        case .object: "an object {…}"
        }
    }
}

/// Where a text stopped being JSON5.
struct JSON5Error: Error, Hashable, Sendable {
    var place: JSON5.Place
    var text: String
}
