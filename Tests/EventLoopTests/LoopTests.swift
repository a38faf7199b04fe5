import Foundation
import Glibc
import Primitives
import Testing

@testable import EventLoop

struct LoopTests {
    @Test("work posted from one thread runs in its order, and all of it")
    func postOrder() async throws {
        let loop = try Loop(name: "posts")
        try loop.start()
        let seen = Box<[[Int]]>([[], [], [], []])
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<4 {
                group.addTask {
                    for number in 0..<5000 {
                        loop.post { loop in
                            #expect(loop.isCurrent)
                            seen.change { $0[thread].append(number) }
                        }
                    }
                }
            }
        }
        await loop.spawn { _ in }.value
        #expect(seen.value.allSatisfy { $0 == Array(0..<5000) })
        loop.stop()
    }

    @Test("a task stays on the loop's thread over suspensions")
    func staysOnLoop() async throws {
        try await onLoop { loop in
            for _ in 0..<100 {
                #expect(loop.isCurrent)
                await Task.yield()
            }
            await loop.spawn { loop in #expect(loop.isCurrent) }.value
            #expect(loop.isCurrent)
            try await loop.sleep(until: Clock.instant())
            #expect(loop.isCurrent)
        }
    }

    @Test("timers fire in the order of their instants, cancelled ones never")
    func timers() async throws {
        try await onLoop { loop in
            let start = Clock.instant()
            var fired: [Int] = []
            for number in [5, 1, 4, 2, 3] {
                loop.timer(at: start + .milliseconds(Int64(number))) { fired.append(number) }
            }
            let cancelled = loop.timer(at: start + .milliseconds(2)) { fired.append(99) }
            loop.cancel(cancelled)
            loop.cancel(cancelled)
            try await loop.sleep(until: start + .milliseconds(6))
            #expect(fired == [1, 2, 3, 4, 5])
            #expect(Clock.instant() >= start + .milliseconds(6))
        }
    }

    @Test("thousands of cancelled timers leave nothing behind")
    func cancelledTimers() {
        var heap = TimerHeap()
        let far = heap.add(at: Instant(nanoseconds: 5)) {}
        for number in 0..<10_000 {
            heap.cancel(heap.add(at: Instant(nanoseconds: Int64(1000 + number))) {})
        }
        #expect(heap.count == 1)
        #expect(heap.nextInstant() == Instant(nanoseconds: 5))
        heap.cancel(far)
        #expect(heap.nextInstant() == .distantFuture)
    }

    @Test("timers of random instants come out sorted")
    func heapOrder() throws {
        var heap = TimerHeap()
        var random = SeededRandom(seed: 7)
        for _ in 0..<1000 {
            _ = heap.add(at: Instant(nanoseconds: Int64(random.next() % 500))) {}
        }
        var last = Instant(nanoseconds: 0)
        var count = 0
        while heap.count > 0 {
            let next = heap.nextInstant()
            #expect(next >= last)
            last = next
            #expect(heap.popDue(at: next) != nil)
            count += 1
        }
        #expect(count == 1000)
        #expect(heap.popDue(at: .distantFuture) == nil)
    }

    @Test("a cancelled sleep ends at once")
    func cancelledSleep() async throws {
        try await onLoop { loop in
            let sleeper = loop.spawn { loop in
                await #expect(throws: CancellationError.self) { try await loop.sleep(until: soon(3600)) }
            }
            await Task.yield()
            sleeper.cancel()
            await sleeper.value
        }
    }

    @Test("hooks run once a turn, after the turn's jobs; work for the end of the turn runs once, before them")
    func hooks() async throws {
        try await onLoop { loop in
            var log: [String] = []
            loop.addTurnHook { log.append("hook") }
            log.removeAll()
            loop.atEndOfTurn { log.append("end") }
            loop.spawnLocal { log.append("job") }
            try await loop.sleep(until: Clock.instant() + .milliseconds(2))
            #expect(Array(log.prefix(3)) == ["job", "end", "hook"])
            #expect(log.filter { $0 == "end" }.count == 1)
        }
    }

    @Test("an endless supply of jobs does not keep a turn from ending")
    func boundedTurn() async throws {
        try await onLoop { loop in
            let stop = Box(false)
            let busy = loop.spawn { _ in while !stop.value { await Task.yield() } }
            try await loop.sleep(until: Clock.instant() + .milliseconds(1))
            stop.set(true)
            await busy.value
        }
    }

    @Test("the wheel fires no deadline early, every one in time, and holds nothing afterwards")
    func wheel() {
        let start: Int64 = 77_777_777_777
        var wheel = DeadlineWheel(now: Instant(nanoseconds: start))
        var random = SeededRandom(seed: 3)
        var deadlines: [UInt64: Int64] = [:]
        for token in 0..<2000 as Range<UInt64> {
            let deadline = start + Int64(random.next() % 200_000_000_000)
            deadlines[token] = deadline
            _ = wheel.add(token, at: Instant(nanoseconds: deadline))
        }
        var now = start
        while !deadlines.isEmpty {
            let next = wheel.nextInstant
            #expect(next != .distantFuture)
            now = max(now + 1, next.nanoseconds) + Int64(random.next() % 5_000_000)
            var due: [UInt64] = []
            wheel.takeDue(at: Instant(nanoseconds: now), into: &due)
            for token in due {
                guard let deadline = deadlines[token] else { continue }
                if deadline <= now {
                    #expect(now - deadline < 2 * DeadlineWheel.tick + 5_000_000)
                    deadlines[token] = nil
                } else {
                    _ = wheel.add(token, at: Instant(nanoseconds: deadline))
                }
            }
        }
        #expect(wheel.count == 0)
        #expect(wheel.nextInstant == .distantFuture)
    }

    @Test("a foreign descriptor is watched until it is cancelled")
    func watch() async throws {
        try await onLoop { loop in
            var ends: [Int32] = [0, 0]
            #expect(pipe(&ends) == 0)
            let reading = Descriptor(owning: ends[0])
            let writing = Descriptor(owning: ends[1])
            var seen = 0
            var byte: UInt8 = 7
            let raw = reading.raw
            let watched = try loop.watch(raw) {
                var got: UInt8 = 0
                if read(raw, &got, 1) == 1 { seen += Int(got) }
            }
            #expect(write(writing.raw, &byte, 1) == 1)
            #expect(write(writing.raw, &byte, 1) == 1)
            while seen < 14 { try await loop.sleep(until: Clock.instant() + .milliseconds(1)) }
            watched.cancel()
            watched.cancel()
            #expect(write(writing.raw, &byte, 1) == 1)
            try await loop.sleep(until: Clock.instant() + .milliseconds(1))
            #expect(seen == 14)
        }
    }

    @Test("signals come as values")
    func signals() async throws {
        try await onLoop { loop in
            Signals.block()  // on this thread, and the signals are sent to this thread
            let signals = try Signals(on: loop)
            pthread_kill(pthread_self(), SIGHUP)
            #expect(await signals.next() == SIGHUP)
            pthread_kill(pthread_self(), SIGTERM)
            #expect(await signals.next() == SIGTERM)
        }
    }

    @Test("a name becomes addresses, digits need no lookup")
    func resolver() async throws {
        try await onLoop { loop in
            let resolver = try Resolver(on: loop)
            #expect(try await resolver.resolve(host: "127.0.0.1", port: 25) == [SocketAddress("127.0.0.1:25")!])
            let found = try await resolver.resolve(host: "localhost", port: 2525)
            #expect(!found.isEmpty)
            #expect(found.allSatisfy { $0.address?.isLoopback == true && $0.port == 2525 })
            let cancelled = loop.spawn { _ in
                withUnsafeCurrentTask { $0?.cancel() }
                await #expect(throws: ResolveError.cancelled) { try await resolver.resolve(host: "localhost", port: 1) }
            }
            await cancelled.value
        }
    }
}
