internal import Glibc
package import Primitives

/// The machine's clocks, read afresh at each call (about 20 ns each; no system call).
package enum Clock {
    package static func now() -> Now { Now(instant: instant(), wall: wall()) }

    /// `CLOCK_BOOTTIME`: never steps, counts suspended time.
    package static func instant() -> Instant { Instant(nanoseconds: read(CLOCK_BOOTTIME)) }

    package static func wall() -> WallTime { WallTime(milliseconds: read(CLOCK_REALTIME) / 1_000_000) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
