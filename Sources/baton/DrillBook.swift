internal import CLinux
internal import Glibc
internal import Synchronization

/// A file of lines that grows by whole batches: a reader, or a crash, never sees a half-written batch of an earlier turn.
final class DrillBook {
    private let descriptor: Int32
    private var pending: [UInt8] = []

    /// Appends to a file, with the header line first if it is new; nil, with `errno`, when it cannot be opened.
    init?(path: String, header: String) {
        descriptor = baton_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return nil }
        if lseek(descriptor, 0, SEEK_END) == 0 { add(header + "\n") }
    }

    deinit {
        flush()
        close(descriptor)
    }

    func add(_ text: String) { pending.append(contentsOf: text.utf8) }

    func flush() {
        var written = 0
        while written < pending.count {
            let count = pending.withUnsafeBytes { bytes in
                write(descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count < 0, errno != EINTR { break }
            written += max(0, count)
        }
        pending.removeAll(keepingCapacity: true)
    }
}

/// Durations, all kept, so that quantiles are exact.
struct DrillLatencies {
    private var microseconds: [UInt32] = []

    mutating func add(nanoseconds: Int64) { microseconds.append(UInt32(clamping: nanoseconds / 1000)) }

    /// Milliseconds at these shares (0 to 1), 0 when there are none.
    func quantiles(_ shares: [Double]) -> [Double] {
        guard !microseconds.isEmpty else { return shares.map { _ in 0 } }
        let sorted = microseconds.sorted()
        return shares.map { share in
            let index = min(sorted.count - 1, max(0, Int((Double(sorted.count) * share).rounded(.up)) - 1))
            return Double(sorted[index]) / 1000
        }
    }
}

/// The signals that `send` and `sink` obey: TERM and INT stop them, USR1 asks for figures.
///
/// Handlers write into a pipe, so that it does not matter which thread of the process a signal reaches.
final class DrillSignals: DrillSource {
    private let stop: () -> Void
    private let report: () -> Void

    init(on loop: DrillLoop, stop: @escaping () -> Void, report: @escaping () -> Void) {
        self.stop = stop
        self.report = report
        var ends: [Int32] = [-1, -1]
        pipe(&ends)
        for end in ends { _ = baton_fcntl(end, F_SETFL, Int32(O_NONBLOCK)) }
        signalPipe.store(ends[1], ordering: .releasing)
        super.init(descriptor: ends[0])
        loop.add(self)
        signal(SIGPIPE, SIG_IGN)
        for number in [SIGTERM, SIGINT, SIGUSR1] {
            signal(number) { number in
                // Only what a handler may do: no allocation, no lock.
                var byte = UInt8(truncatingIfNeeded: number)
                _ = write(signalPipe.load(ordering: .acquiring), &byte, 1)
            }
        }
    }

    override func readable() {
        var number: UInt8 = 0
        while read(descriptor, &number, 1) == 1 {
            if Int32(number) == SIGUSR1 { report() } else { stop() }
        }
    }
}

/// The writing end of the signals' pipe.
private let signalPipe = Atomic<Int32>(-1)

/// Writes at once, without the buffer that a pipe would keep until the end.
func drillPrint(_ text: String, to descriptor: Int32 = 1) {
    Array((text + "\n").utf8).withUnsafeBytes { _ = write(descriptor, $0.baseAddress, $0.count) }
}

/// A field of a CSV line, quoted where it must be (RFC 4180).
func drillField(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 == 0x2c || $0 == 0x22 || $0 < 0x20 }) else { return text }
    let clean = text.map { $0 == "\"" ? "\"\"" : $0.isNewline ? " " : String($0) }
    return "\"" + clean.joined() + "\""
}

/// `0.25`: a fixed number of decimals, without Foundation.
func drillDecimal(_ value: Double, _ decimals: Int = 2) -> String {
    guard decimals > 0 else { return String(Int(value.rounded())) }
    var scale = 1
    for _ in 0..<decimals { scale *= 10 }
    let whole = Int((value * Double(scale)).rounded())
    let digits = String(whole.magnitude % UInt(scale))
    let fraction = String(repeating: "0", count: decimals - digits.utf8.count) + digits
    return "\(whole < 0 ? "-" : "")\(whole.magnitude / UInt(scale))" + "." + fraction
}
