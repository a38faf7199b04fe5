/// Every word that some rule knows, each with a number; what a rule knows of a text is which numbers stand where.
struct ReplyVocabulary: Sendable {
    /// A word, the beginning of a word (`block*`), a thing (`<ip>`) or a list (`@mailbox`).
    typealias Symbol = UInt16

    /// Said of words that count for nothing, such as `the`.
    static let dropped: Symbol = 0

    private(set) var count = 1
    private var names: [String: Symbol] = [:]
    // A tree of bytes: one table from a node and a byte to the next node. Two numbers a node: its word, its beginning.
    private var edges: [UInt64] = Array(repeating: 0, count: 1024)
    private var edgeCount = 0
    private var nodes: [(whole: Symbol?, beginning: Symbol?)] = [(nil, nil)]

    /// The symbol of a word (`full`), of a beginning (`exceed*`), of either within a URL (`/block*`) or of a thing (`<ip>`);
    /// nil when there are more than 65,000.
    mutating func symbol(of name: String) -> Symbol? {
        if let known = names[name] { return known }
        guard let symbol = newSymbol() else { return nil }
        names[name] = symbol
        if !name.hasPrefix("<") { insert(name, symbol) }
        return symbol
    }

    /// A symbol that no word has.
    mutating func newSymbol() -> Symbol? {
        guard count < 65_000 else { return nil }
        count += 1
        return Symbol(count - 1)
    }

    /// Makes a word stand for another, or for nothing.
    mutating func insert(_ name: String, _ symbol: Symbol) {
        let isBeginning = name.hasSuffix("*")
        var node = 0
        for byte in name.utf8.dropLast(isBeginning ? 1 : 0) { node = child(node, byte) ?? addChild(node, byte) }
        if isBeginning { nodes[node].beginning = symbol } else { nodes[node].whole = symbol }
    }

    func thing(_ name: StaticString) -> Symbol? { names["\(name)"] }

    /// The symbols of one word of a text, the beginnings first.
    @inline(__always)
    func lookUp(_ word: ArraySlice<UInt8>, inURL: Bool, _ found: (Symbol) -> Void) {
        var node = 0
        if inURL {
            guard let start = child(0, 0x2f) else { return }
            node = start
        }
        for byte in word {
            guard let next = child(node, byte) else { return }
            node = next
            if let beginning = nodes[node].beginning { found(beginning) }
        }
        if let whole = nodes[node].whole { found(whole) }
    }

    // An edge: 16 bits nothing, 24 bits node and 8 bits byte that make the key, and below them the next node.
    private func child(_ node: Int, _ byte: UInt8) -> Int? {
        let key = UInt64(node) << 8 | UInt64(byte)
        let mask = edges.count - 1
        var slot = Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) >> 40) & mask
        while edges[slot] != 0 {
            if edges[slot] >> 32 == key { return Int(edges[slot] & 0xffff_ffff) }
            slot = (slot + 1) & mask
        }
        return nil
    }

    private mutating func addChild(_ node: Int, _ byte: UInt8) -> Int {
        if edgeCount * 2 >= edges.count {
            let old = edges
            edges = Array(repeating: 0, count: old.count * 2)
            for edge in old where edge != 0 { place(edge) }
        }
        nodes.append((nil, nil))
        edgeCount += 1
        place((UInt64(node) << 8 | UInt64(byte)) << 32 | UInt64(nodes.count - 1))
        return nodes.count - 1
    }

    private mutating func place(_ edge: UInt64) {
        let mask = edges.count - 1
        var slot = Int(truncatingIfNeeded: ((edge >> 32) &* 0x9e37_79b9_7f4a_7c15) >> 40) & mask
        while edges[slot] != 0 { slot = (slot + 1) & mask }
        edges[slot] = edge
    }
}
