internal import CLinux
internal import Glibc

/// The owner of a file descriptor: closes it when its own life ends.
package struct Descriptor: ~Copyable, Sendable {
    package let raw: Int32

    /// Takes over a descriptor that nothing else closes; it must already be close-on-exec.
    package init(owning raw: Int32) { self.raw = raw }

    deinit { _ = Glibc.close(raw) }

    /// Hands the descriptor to an owner elsewhere, without closing it.
    package consuming func release() -> Int32 {
        let raw = raw
        discard self
        return raw
    }
}

extension Descriptor {
    /// A new stream socket for addresses of this family, close-on-exec and non-blocking.
    static func stream<Failure: Error>(
        family: Int32, _ failure: (SystemError) -> Failure
    ) throws(Failure) -> Descriptor {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let raw = socket(family, type, 0)
        guard raw >= 0 else { throw failure(SystemError("socket")) }
        return Descriptor(owning: raw)
    }
}

extension Descriptor {
    borrowing func set(_ option: Int32, level: Int32, to value: Int32 = 1) {
        var value = value
        setsockopt(raw, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}

/// A system call that failed, and why.
package struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    package let operation: String
    package let number: Int32

    package init(_ operation: String, _ number: Int32 = errno) {
        self.operation = operation
        self.number = number
    }

    package var description: String { "\(operation): \(textOfError(number))" }
}

/// `Connection refused` for `ECONNREFUSED`.
func textOfError(_ number: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    // `__xpg_strerror_r` is the one of the two `strerror_r` that Swift imports; it fills the buffer.
    strerror_r(number, &buffer, buffer.count)
    let text = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return text.isEmpty ? "error \(number)" : String(decoding: text, as: UTF8.self)
}
