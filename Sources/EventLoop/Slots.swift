/// What the kernel reports events for. A token names a slot and its generation, so that an event that was under way when
/// its descriptor closed finds nobody, even when the slot already serves another.
struct Slots {
    /// Who gets the events. Connections and listeners are not kept alive by it: they leave when they close or end.
    enum Source {
        case free(next: Int)
        case connection(Unmanaged<Connection>)
        case listener(Unmanaged<Listener>)
        case watched(WatchedDescriptor)
    }

    /// The token of the loop's own alarm.
    static let alarm = UInt64.max

    private var sources: [Source] = []
    private var generations: [UInt32] = []
    private var firstFree = -1
    private(set) var count = 0

    mutating func add(_ source: Source) -> UInt64 {
        count += 1
        if firstFree >= 0, case .free(let next) = sources[firstFree] {
            let index = firstFree
            firstFree = next
            sources[index] = source
            return UInt64(generations[index]) << 32 | UInt64(index)
        }
        sources.append(source)
        generations.append(0)
        return UInt64(sources.count - 1)
    }

    mutating func remove(_ token: UInt64) {
        let index = Int(token & 0xFFFF_FFFF)
        precondition(generations[index] == UInt32(token >> 32), "a slot is given back once")
        generations[index] = (generations[index] &+ 1) & 0x7FFF_FFFF
        sources[index] = .free(next: firstFree)
        firstFree = index
        count -= 1
    }

    /// The source of a token, unless it has left.
    subscript(token: UInt64) -> Source? {
        let index = Int(token & 0xFFFF_FFFF)
        guard index < sources.count, generations[index] == UInt32(token >> 32) else { return nil }
        return sources[index]
    }

    func connection(_ token: UInt64) -> Connection? {
        guard case .connection(let connection)? = self[token] else { return nil }
        return connection.takeUnretainedValue()
    }

    func listener(_ token: UInt64) -> Listener? {
        guard case .listener(let listener)? = self[token] else { return nil }
        return listener.takeUnretainedValue()
    }
}
