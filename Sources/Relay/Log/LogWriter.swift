internal import EventLoop
internal import Glibc
package import Node
package import Primitives
package import SMTP

/// Writes the log to a descriptor on a thread of its own: a reader of our output that stops reading stops no mail.
///
/// Whoever logs hands over values; they become text on the thread (outputs.md, 'Log lines').
package final class LogWriter: Sendable {
    package enum Level: Int, Hashable, Comparable, Sendable {
        case debug, info, warning, error
        package static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
    }

    package enum Entry: Sendable {
        case note(Note, WallTime)
        case refused(client: String, stage: StaticString, reply: Reply, WallTime)
        /// Something that happened to the node, in words.
        case event(StaticString, Level, [Field], WallTime)
    }

    package struct Field: Sendable {
        package var key: StaticString
        package var value: String
        package init(_ key: StaticString, _ value: String) {
            self.key = key
            self.value = value
        }
    }

    /// What waits for a reader that does not read is dropped beyond so many entries.
    private static let limit = 200_000

    package let level: Level
    private let formatter: LogFormatter
    private let inbox = Mailbox<Entry>()
    private let thread: SystemThread

    package init(level: Level, format: LogLine.Format, node: String, descriptor: CInt = STDOUT_FILENO) {
        self.level = level
        let formatter = LogFormatter(format: format, node: node, level: level)
        self.formatter = formatter
        let inbox = inbox
        thread = SystemThread("log") {
            var batch: [Entry] = []
            while inbox.take(into: &batch) {
                var text: [UInt8] = []
                for entry in batch.suffix(LogWriter.limit) { formatter.append(entry, to: &text) }
                writeAll(text, to: descriptor)
            }
        }
    }

    package func log(_ event: StaticString, _ level: Level = .info, _ fields: [Field] = []) {
        guard level >= self.level else { return }
        inbox.put(.event(event, level, fields, Clock.wall()))
    }

    package func log(_ entry: Entry) { inbox.put(entry) }

    func log(all batch: inout [Entry]) { inbox.put(all: &batch) }

    /// Writes what was logged before, and ends.
    package func stop() {
        inbox.close()
        thread.join()
    }
}

private func writeAll(_ text: [UInt8], to descriptor: CInt) {
    var done = 0
    while done < text.count {
        let count = text.withUnsafeBytes { bytes in
            write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
        }
        if count < 0, errno == EINTR { continue }
        // Nobody listens any more: there is no one to tell.
        if count <= 0 { return }
        done += count
    }
}
