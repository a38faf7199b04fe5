internal import EventLoop
internal import Glibc
internal import Node
internal import Primitives
internal import Relay
internal import Routing

/// What a node can find out about the machine that it runs on. Each look that blocks has a thread of its own.
struct MachineExamination: Sendable {
    private static let syncs = 20
    private static let connectPatience: Int32 = 3000

    private let configuration: Configuration
    private let syncTimes: Histogram
    private let status: NodeStatus

    init(_ configuration: Configuration, syncTimes: Histogram, status: NodeStatus) {
        self.configuration = configuration
        self.syncTimes = syncTimes
        self.status = status
    }

    /// The upstreams side by side: one that does not answer takes three seconds to be sure of.
    func lines() async -> [ExaminationAnswer.Line] {
        let places = configuration.upstreams.flatMap { upstream in upstream.addresses.map { (upstream, $0) } }
        return await withTaskGroup(of: (Int, [ExaminationAnswer.Line]).self) { group in
            group.addTask { (-1, await onThread { [sync, space, files, certificate].compactMap { $0 } + [hostname] }) }
            for (index, (upstream, address)) in places.enumerated() {
                group.addTask { (index, [await onThread { self.upstream(upstream, address) }]) }
            }
            var all: [(Int, [ExaminationAnswer.Line])] = []
            for await found in group { all.append(found) }
            return all.sorted { $0.0 < $1.0 }.flatMap(\.1)
        }
    }

    private func line(_ result: ExaminationAnswer.Result, _ check: String, _ text: String) -> ExaminationAnswer.Line {
        ExaminationAnswer.Line(configuration.node.name, result, check, text)
    }

    // MARK: The disk

    /// Every 250 waits for a sync: its time is what clients feel.
    private var sync: ExaminationAnswer.Line? {
        let path = configuration.node.dataDirectory + "/examination.tmp"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return line(.fail, "sync", "\(path): \(systemError())") }
        defer {
            close(descriptor)
            unlink(path)
        }
        var times = Histogram()
        let block = [UInt8](repeating: 0x61, count: 4096)
        for _ in 0..<MachineExamination.syncs {
            let began = Clock.instant()
            guard write(descriptor, block, block.count) == block.count, fdatasync(descriptor) == 0 else {
                return line(.fail, "sync", "\(path): \(systemError())")
            }
            times.record(Clock.instant() - began)
        }
        let p99 = times.quantile(0.99)
        let since = syncTimes.count > 0 ? "; since its start p99 \(syncTimes.quantile(0.99).short)" : ""
        let text = "4 KiB: median \(times.quantile(0.5).short), p99 \(p99.short)\(since)"
        if p99 > .milliseconds(250) { return line(.fail, "sync", text + ": every 250 waits for it") }
        return line(p99 > .milliseconds(50) ? .warn : .pass, "sync", text)
    }

    private var space: ExaminationAnswer.Line {
        let share = status.diskTotal.bytes > 0 ? Double(status.diskFree.bytes) / Double(status.diskTotal.bytes) : 0
        let text = "\(status.diskFree) of \(status.diskTotal) free in \(configuration.node.dataDirectory)"
        if status.problems.contains(where: { $0.name == "disk-low" }) {
            return line(.fail, "space", text + ": no mail is taken below node.minimumFree")
        }
        return line(share < 0.15 ? .warn : .pass, "space", text)
    }

    /// A connection is a descriptor; journals, logs and peers want some more.
    private var files: ExaminationAnswer.Line? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        let upstreams = configuration.upstreams.reduce(0) { $0 + $1.maximumConnections }
        let wanted = configuration.smtp.maximumConnections + upstreams + 500
        let text = "\(limit.rlim_cur) open files allowed, \(wanted) may be wanted"
        guard limit.rlim_cur < rlim_t(wanted) else { return line(.pass, "files", text) }
        return line(.warn, "files", text + ": LimitNOFILE= of its unit, or a lower smtp.maximumConnections")
    }

    private var certificate: ExaminationAnswer.Line? {
        guard let path = configuration.smtp.certificateFile else { return nil }
        guard let end = CertificateExpiry.read(path) else {
            return line(.fail, "certificate", "\(path) cannot be read")
        }
        let left = end - status.time
        let text = left > .zero ? "\(path) expires in \(left.short)" : "\(path) has expired"
        return line(left < .days(3) ? .fail : left < .days(14) ? .warn : .pass, "certificate", text)
    }

    // MARK: The network

    /// Many servers refuse a relay whose HELO name does not exist (RFC 5321 §4.1.4 forbids it, they do it all the same).
    private var hostname: ExaminationAnswer.Line {
        let name = configuration.smtp.hostname
        let reserved = [".invalid", ".test", ".example", ".localhost"]
        if reserved.contains(where: name.hasSuffix) {
            return line(.pass, "name", "\(name) is a name for tests: not looked up")
        }
        return switch addresses(name, "25") {
        case .success(let found): line(.pass, "name", "smtp.hostname \(name) is \(found.first?.text ?? "known")")
        case .failure(let failure):
            line(.warn, "name", "smtp.hostname \(name): \(failure.text); upstreams may refuse such a HELO name")
        }
    }

    private func upstream(_ upstream: Upstream, _ address: String) -> ExaminationAnswer.Line {
        guard let place = HostPort(text: address) else {
            return line(.fail, "upstream", "\(upstream.name): \(address) is no address")
        }
        switch addresses(place.host, String(place.port)) {
        case .failure(let failure): return line(.fail, "upstream", "\(upstream.name): \(place.host): \(failure.text)")
        case .success(let found):
            var last = "no address"
            for address in found {
                let began = Clock.instant()
                switch greeting(of: address, isSilent: upstream.implicitTLS) {
                case .success(let said):
                    let words = "\(upstream.name): \(place) answers in \((Clock.instant() - began).short): \(said)"
                    return line(said.hasPrefix("2") || upstream.implicitTLS ? .pass : .fail, "upstream", words)
                case .failure(let failure): last = failure.text
                }
            }
            return line(.fail, "upstream", "\(upstream.name): \(place): \(last)")
        }
    }

    private struct Failure: Error { var text: String }

    private struct Address {
        var family: Int32
        var bytes: [UInt8]
        var text: String
    }

    private func addresses(_ host: String, _ port: String) -> Result<[Address], Failure> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, port, &hints, &list)
        guard code == 0 else { return .failure(Failure(text: String(cString: gai_strerror(code)))) }
        defer { freeaddrinfo(list) }
        var found: [Address] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ai_next
            guard let address = entry.ai_addr else { continue }
            let bytes = Array(UnsafeRawBufferPointer(start: address, count: Int(entry.ai_addrlen)))
            var name = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            getnameinfo(address, entry.ai_addrlen, &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST)
            let text = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            found.append(Address(family: entry.ai_family, bytes: bytes, text: text))
        }
        return .success(found)
    }

    /// Connects and reads the first line; of one that waits for TLS first nothing is to be read.
    private func greeting(of address: Address, isSilent: Bool) -> Result<String, Failure> {
        let descriptor = socket(
            address.family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue),
            0)
        guard descriptor >= 0 else { return .failure(Failure(text: systemError())) }
        defer { close(descriptor) }
        let result = address.bytes.withUnsafeBytes { bytes in
            bytes.baseAddress.map {
                connect(descriptor, $0.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
            } ?? -1
        }
        guard result == 0 || errno == EINPROGRESS else { return .failure(Failure(text: systemError())) }
        guard wait(descriptor, POLLOUT) else { return .failure(Failure(text: "no answer within 3 s")) }
        var error: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
        guard error == 0 else { return .failure(Failure(text: String(cString: strerror(error)))) }
        if isSilent { return .success("connected") }
        guard wait(descriptor, POLLIN) else { return .failure(Failure(text: "connected, but no greeting within 3 s")) }
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return .failure(Failure(text: "it closed the connection without a greeting")) }
        _ = send(descriptor, "QUIT\r\n", 6, Int32(MSG_NOSIGNAL))
        let said = buffer[..<count].prefix { $0 != 0x0d && $0 != 0x0a }
        return .success(String(decoding: said.prefix(80), as: UTF8.self))
    }

    private func wait(_ descriptor: Int32, _ events: Int32) -> Bool {
        var poll = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        return Glibc.poll(&poll, 1, MachineExamination.connectPatience) > 0
    }
}

private func systemError() -> String { String(cString: strerror(errno)) }

/// Runs what blocks on a thread of its own, which ends with it.
func onThread<Result: Sendable>(_ work: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
        let body = Unmanaged.passRetained(ThreadBody { continuation.resume(returning: work()) })
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, body.toOpaque())
        guard result == 0 else {
            // No thread to be had: better slowly here than not at all.
            return body.takeRetainedValue().run()
        }
        pthread_detach(thread)
    }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
