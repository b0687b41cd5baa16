/// A tar written byte by byte, so that a test can write what no honest tool would.
public struct TarBytes {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    public struct Member {
        public var name: [UInt8] = []
        public var type = UInt8(ascii: "0")
        public var mode = "0000644"
        public var userID = "0000000"
        public var groupID = "0000000"
        /// The twelve bytes of the size field; nil for the content's length.
        public var size: [UInt8]?
        public var time = "00000000000"
        public var linkTarget: [UInt8] = []
        public var content: [UInt8] = []
        public var hasRightChecksum = true
        public var patch: ((inout [UInt8]) -> Void)?
    }

    /// Adds a member; `change` sets what is not usual about it.
    public mutating func add(_ name: String, _ content: [UInt8] = [], _ change: (inout Member) -> Void = { _ in }) {
        var member = Member()
        member.name = Array(name.utf8)
        member.content = content
        change(&member)
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: [UInt8], _ offset: Int) {
            for (index, byte) in text.enumerated() where offset + index < 512 { header[offset + index] = byte }
        }
        put(Array(member.name.prefix(100)), 0)
        put(Array(member.mode.utf8), 100)
        put(Array(member.userID.utf8), 108)
        put(Array(member.groupID.utf8), 116)
        let digits = String(member.content.count, radix: 8)
        put(member.size ?? Array((String(repeating: "0", count: 11 - digits.count) + digits).utf8), 124)
        put(Array(member.time.utf8), 136)
        header[156] = member.type
        put(Array(member.linkTarget.prefix(100)), 157)
        put(Array("ustar\u{0}00".utf8), 257)
        member.patch?(&header)
        put([UInt8](repeating: 32, count: 8), 148)
        let sum = header.reduce(member.hasRightChecksum ? 0 : 1) { $0 + Int($1) }
        let text = String(sum, radix: 8)
        put(Array((String(repeating: "0", count: 6 - text.count) + text + "\u{0} ").utf8), 148)
        bytes += header + member.content
        bytes += [UInt8](repeating: 0, count: (512 - member.content.count % 512) % 512)
    }

    public mutating func addFolder(_ name: String) {
        add(name) {
            $0.type = UInt8(ascii: "5")
            $0.mode = "0000755"
        }
    }

    public mutating func addLink(_ name: String, to target: String, isHard: Bool = false) {
        add(name) {
            $0.type = UInt8(ascii: isHard ? "1" : "2")
            $0.linkTarget = Array(target.utf8)
        }
    }

    /// Adds a pax header for the next member.
    public mutating func addPax(_ records: [(String, [UInt8])]) {
        var content: [UInt8] = []
        for (key, value) in records {
            let rest = Array(" \(key)=".utf8) + value + [10]
            var length = rest.count + 1
            while String(length).utf8.count + rest.count != length { length += 1 }
            content += Array(String(length).utf8) + rest
        }
        addPax(content)
    }

    public mutating func addPax(_ content: [UInt8]) { add("pax", content) { $0.type = UInt8(ascii: "x") } }

    /// The archive with its end.
    public func finished() -> [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }
}
