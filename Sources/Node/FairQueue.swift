/// Whose turn an element takes, and for where it goes. Each part is a `nameKey`.
struct FairKey: Hashable, Sendable {
    var user: UInt64
    var destination: UInt64
}

/// A queue in which nobody waits behind another's backlog: users take turns, within a user its destinations do, and within
/// one of those the oldest is first.
///
/// The users with something to do stand in a ring, each has a ring of its destinations, and each of those a list. Whoever
/// comes goes to the end of its round; who has nothing left goes away, so that memory follows what waits, not who was ever
/// seen. Every operation takes constant time, taking an element out of the middle too.
struct FairQueue<Element: Sendable>: Sendable {
    /// Names one element while it is in the queue, and none after it.
    struct Handle: Hashable, Sendable {
        fileprivate var slot: Int32
        fileprivate var number: UInt32
    }

    /// An element in its list; a free slot has none, and `next` names the next free one.
    private struct Entry: Sendable {
        var element: Element?
        var number: UInt32
        var flow: Int32
        var next: Int32
        var previous: Int32
    }

    /// What one user has for one destination.
    private struct Flow: Sendable {
        var key: FairKey
        var user: Int32
        var first: Int32 = -1
        var last: Int32 = -1
        /// In the user's ring.
        var next: Int32 = -1
        var previous: Int32 = -1
    }

    private struct User: Sendable {
        var name: UInt64
        /// The flow whose turn it is.
        var turn: Int32 = -1
        var next: Int32 = -1
        var previous: Int32 = -1
    }

    private var entries: [Entry] = []
    private var freeEntry: Int32 = -1
    /// The first is of those that go before all others, and belongs to no user.
    private var flows = [Flow(key: FairKey(user: 0, destination: 0), user: -1)]
    private var freeFlow: Int32 = -1
    private var flowOf: [FairKey: Int32] = [:]
    private var users: [User] = []
    private var freeUser: Int32 = -1
    private var userOf: [UInt64: Int32] = [:]
    /// The user whose turn it is.
    private var turn: Int32 = -1
    /// An element that has the queue for itself stands in no ring: nearly every message finds the queue empty.
    private var lone: Int32 = -1
    private var loneKey = FairKey(user: 0, destination: 0)
    private var nextNumber: UInt32 = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }
    /// Users with something to do; the lone one is not counted.
    var userCount: Int { userOf.count }
    var flowCount: Int { flowOf.count }

    // MARK: In and out

    @discardableResult
    mutating func append(_ element: Element, for key: FairKey) -> Handle {
        let entry = insert(element)
        if turn == nobody, lone == nobody {
            lone = entry
            loneKey = key
        } else {
            if lone != nobody {
                link(lone, at: flow(loneKey))
                lone = nobody
            }
            link(entry, at: flow(key))
        }
        return Handle(slot: entry, number: entries[Int(entry)].number)
    }

    /// Puts it before all others, those that were put there earlier too.
    @discardableResult
    mutating func prepend(_ element: Element) -> Handle {
        let entry = insert(element)
        entries[Int(entry)].flow = 0
        let second = flows[0].first
        entries[Int(entry)].next = second
        if second == nobody { flows[0].last = entry } else { entries[Int(second)].previous = entry }
        flows[0].first = entry
        return Handle(slot: entry, number: entries[Int(entry)].number)
    }

    /// The one whose turn it is.
    mutating func popFirst() -> Element? {
        if flows[0].first != nobody { return take(flows[0].first) }
        if lone != nobody { return take(lone) }
        guard turn != nobody else { return nil }
        let user = Int(turn)
        let flow = Int(users[user].turn)
        users[user].turn = flows[flow].next
        turn = users[user].next
        return take(flows[flow].first)
    }

    func contains(_ handle: Handle) -> Bool {
        guard handle.slot >= 0, Int(handle.slot) < entries.count else { return false }
        return entries[Int(handle.slot)].number == handle.number && entries[Int(handle.slot)].element != nil
    }

    /// Takes it out, wherever it stands; nil when it is gone already.
    @discardableResult
    mutating func remove(_ handle: Handle) -> Element? { contains(handle) ? take(handle.slot) : nil }

    /// Empties it, and returns what it held in order of the turns.
    mutating func drain() -> [Element] {
        var all: [Element] = []
        all.reserveCapacity(count)
        while let element = popFirst() { all.append(element) }
        return all
    }

    // MARK: Entries

    private mutating func insert(_ element: Element) -> Int32 {
        count += 1
        nextNumber &+= 1
        let entry = Entry(element: element, number: nextNumber, flow: -1, next: -1, previous: -1)
        let slot = freeEntry
        guard slot != nobody else {
            entries.append(entry)
            return Int32(entries.count - 1)
        }
        freeEntry = entries[Int(slot)].next
        entries[Int(slot)] = entry
        return slot
    }

    private mutating func take(_ entry: Int32) -> Element? {
        if entry == lone { lone = nobody } else { unlink(entry) }
        let element = entries[Int(entry)].element.take()
        entries[Int(entry)].next = freeEntry
        freeEntry = entry
        count -= 1
        if count == 0, entries.count > 1024 { giveBackMemory() }
        return element
    }

    /// A backlog that is gone leaves nothing behind. Numbers go on, so that no handle of before names what comes.
    private mutating func giveBackMemory() {
        let number = nextNumber
        self = FairQueue()
        nextNumber = number
    }

    private mutating func link(_ entry: Int32, at flow: Int32) {
        let last = flows[Int(flow)].last
        entries[Int(entry)].flow = flow
        entries[Int(entry)].previous = last
        if last == nobody { flows[Int(flow)].first = entry } else { entries[Int(last)].next = entry }
        flows[Int(flow)].last = entry
    }

    private mutating func unlink(_ entry: Int32) {
        let (flow, next, previous) = (
            entries[Int(entry)].flow, entries[Int(entry)].next, entries[Int(entry)].previous
        )
        if previous == nobody {
            flows[Int(flow)].first = next
        } else {
            entries[Int(previous)].next = next
        }
        if next == nobody { flows[Int(flow)].last = previous } else { entries[Int(next)].previous = previous }
        if flow != 0, flows[Int(flow)].first == nobody { removeFlow(flow) }
    }

    // MARK: Rings

    /// The flow of a key, at the end of its user's round if it is new.
    private mutating func flow(_ key: FairKey) -> Int32 {
        if let known = flowOf[key] { return known }
        let user = self.user(key.user)
        var new = Flow(key: key, user: user)
        let slot: Int32
        if freeFlow == nobody {
            slot = Int32(flows.count)
            flows.append(new)
        } else {
            slot = freeFlow
            freeFlow = flows[Int(slot)].next
        }
        let present = users[Int(user)].turn
        if present == nobody {
            (new.next, new.previous) = (slot, slot)
            users[Int(user)].turn = slot
        } else {
            let last = flows[Int(present)].previous
            (new.next, new.previous) = (present, last)
            flows[Int(last)].next = slot
            flows[Int(present)].previous = slot
        }
        flows[Int(slot)] = new
        flowOf[key] = slot
        return slot
    }

    private mutating func removeFlow(_ flow: Int32) {
        let removed = flows[Int(flow)]
        flowOf[removed.key] = nil
        if removed.next == flow {
            removeUser(removed.user)
        } else {
            flows[Int(removed.previous)].next = removed.next
            flows[Int(removed.next)].previous = removed.previous
            if users[Int(removed.user)].turn == flow { users[Int(removed.user)].turn = removed.next }
        }
        flows[Int(flow)].next = freeFlow
        freeFlow = flow
    }

    /// A user, at the end of the round if it is new.
    private mutating func user(_ name: UInt64) -> Int32 {
        if let known = userOf[name] { return known }
        var new = User(name: name)
        let slot: Int32
        if freeUser == nobody {
            slot = Int32(users.count)
            users.append(new)
        } else {
            slot = freeUser
            freeUser = users[Int(slot)].next
        }
        if turn == nobody {
            (new.next, new.previous) = (slot, slot)
            turn = slot
        } else {
            let last = users[Int(turn)].previous
            (new.next, new.previous) = (turn, last)
            users[Int(last)].next = slot
            users[Int(turn)].previous = slot
        }
        users[Int(slot)] = new
        userOf[name] = slot
        return slot
    }

    private mutating func removeUser(_ user: Int32) {
        let removed = users[Int(user)]
        userOf[removed.name] = nil
        if removed.next == user {
            turn = nobody
        } else {
            users[Int(removed.previous)].next = removed.next
            users[Int(removed.next)].previous = removed.previous
            if turn == user { turn = removed.next }
        }
        users[Int(user)].next = freeUser
        freeUser = user
    }
}

/// In place of a slot.
private let nobody: Int32 = -1

/// What stands for a name in a `FairKey`: 64 bits of it, without regard to case (FNV-1a, then mixed). Two names with the same
/// one share their turns, which harms neither much.
func nameKey(_ bytes: some Sequence<UInt8>, kind: UInt8 = 0) -> UInt64 {
    var hash: UInt64 = 14_695_981_039_346_656_037 ^ UInt64(kind)
    for byte in bytes {
        let lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
        hash = (hash ^ UInt64(lower)) &* 1_099_511_628_211
    }
    hash ^= hash >> 32
    return hash &* 0x9e37_79b9_7f4a_7c15
}
