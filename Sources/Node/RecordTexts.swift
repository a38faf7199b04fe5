internal import Primitives

/// The value of a record about mail: tagged texts. Tags are promises to other versions, which skip those that they do not
/// know.
struct RecordTexts: Sendable {
    enum Tag: UInt64, CaseIterable {
        case by = 1
        /// When it was written, in milliseconds since 1970.
        case at = 2
        case reason = 3
        case upstream = 4
        case action = 5
        /// As it was spelled.
        case address = 6
        case cause = 7
    }

    private var texts: [UInt64: String] = [:]

    init() {}

    /// Nil for what is no list of tagged texts, or is empty.
    init?(_ bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        do throws(MalformedBytes) {
            while !reader.isAtEnd { texts[try reader.readVariable()] = try reader.readText() }
        } catch {
            return nil
        }
        if texts.isEmpty { return nil }
    }

    subscript(_ tag: Tag) -> String {
        get { texts[tag.rawValue] ?? "" }
        set { texts[tag.rawValue] = newValue.isEmpty ? nil : newValue }
    }

    var at: WallTime {
        get { WallTime(milliseconds: Int64(self[.at]) ?? 0) }
        set { self[.at] = String(newValue.milliseconds) }
    }

    var bytes: [UInt8] {
        var writer = ByteWriter()
        for (tag, text) in texts.sorted(by: { $0.key < $1.key }) { writer.writeField(tag, Array(text.utf8)) }
        return writer.bytes
    }
}

extension String {
    /// Fit for a reply or a line: printable ASCII, and no longer than so many characters.
    func printableASCII(_ limit: Int) -> String {
        String(
            String.UnicodeScalarView(
                unicodeScalars.prefix(limit).map { $0.isASCII && $0.value >= 0x20 && $0.value != 0x7f ? $0 : "?" }))
    }
}
