public import GuestMemory
import LinuxCalls
public import SharedFolders

/// A guest's side of FUSE, on the calling thread: each call is a request laid out in guest memory and served at once.
public final class FolderClient {
    public let service: FolderService
    public let memory: GuestMemory
    private var unique: UInt64 = 1
    /// Of the guest's process that asks.
    public var user: UInt32 = 0
    public var group: UInt32 = 0
    /// What the clock says.
    public var now: UInt64 = 1
    /// How long the pieces are that requests and answers are laid out in.
    public var pieceBytes = 4096

    public struct Answer {
        public var error: Int32
        public var body: [UInt8]
        public var writtenBytes: Int

        public func integer<T: FixedWidthInteger>(_ type: T.Type = T.self, at offset: Int) -> T {
            var value: T = 0
            for index in 0..<MemoryLayout<T>.size where offset + index < body.count {
                value |= T(truncatingIfNeeded: UInt64(body[offset + index]) << UInt64(8 * index))
            }
            return value
        }
    }

    public init(
        _ path: String, _ settings: FolderSettings = FolderSettings(nodeLimit: 4096), isInitialized: Bool = true
    ) throws {
        memory = try GuestMemory(totalBytes: 4 << 20)
        service = try FolderService(LinuxCalls.open(path, [.path, .directory]), settings)
        if isInitialized { _ = initialize() }
    }

    public static func bytes<T: FixedWidthInteger>(_ values: T...) -> [UInt8] {
        values.flatMap { value in
            (0..<MemoryLayout<T>.size).map { UInt8(truncatingIfNeeded: value >> T(8 * $0)) }
        }
    }

    public static func text(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

    /// Sends any request.
    public func call(
        _ operation: UInt32, _ node: UInt64, _ body: [UInt8], room: Int = 8192, lengthInHeader: Int? = nil
    ) -> Answer {
        unique += 1
        var request = Self.bytes(UInt32(lengthInHeader ?? 40 + body.count), operation)
        request += Self.bytes(unique, node)
        request += Self.bytes(user, group, 1, 0)
        return send(request + body, room: room)
    }

    /// Sends bytes that need not be a request.
    public func send(_ request: [UInt8], room: Int) -> Answer {
        let answerPlace: UInt64 = 2 << 20
        var readable = IOVectorList(capacity: 4096)
        var writable = IOVectorList(capacity: 4096)
        do {
            try memory.write(request, at: GuestAddress(0x1000))
            try memory.zero(GuestAddress(answerPlace), lengthBytes: UInt64(room))
            try append(&readable, 0x1000, request.count)
            try append(&writable, answerPlace, room)
            let written = Int(service.serve(&readable, &writable, now: now))
            let bytes = try memory.bytes(at: GuestAddress(answerPlace), count: min(written, room))
            guard bytes.count >= 16 else { return Answer(error: 0, body: [], writtenBytes: written) }
            let error = bytes[4..<8].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return Answer(
                error: -Int32(bitPattern: error), body: Array(bytes[16...]), writtenBytes: written)
        } catch {
            return Answer(error: .max, body: [], writtenBytes: 0)
        }
    }

    private func append(_ list: inout IOVectorList, _ place: UInt64, _ count: Int) throws {
        var done = 0
        while done < count {
            let piece = min(pieceBytes, count - done)
            try list.append(memory, GuestAddress(place + UInt64(done)), lengthBytes: UInt64(piece))
            done += piece
        }
    }

    // MARK: Requests as a good guest makes them

    public func initialize(minor: UInt32 = 38) -> Answer { call(26, 0, Self.bytes(UInt32(7), minor, 1 << 20, .max)) }

    public func lookUp(_ parent: UInt64, _ name: String) -> Answer { call(1, parent, Self.text(name)) }

    /// The number of a file that must be there.
    public func node(_ parent: UInt64, _ name: String) -> UInt64 { lookUp(parent, name).integer(at: 0) }

    public func forget(_ node: UInt64, _ count: UInt64 = 1) { _ = call(2, node, Self.bytes(count), room: 0) }

    public func attributes(_ node: UInt64, handle: UInt64? = nil) -> Answer {
        call(3, node, Self.bytes(UInt32(handle == nil ? 0 : 1), 0) + Self.bytes(handle ?? 0))
    }

    public struct Change {
        public var valid: UInt32 = 0
        public var handle: UInt64 = 0
        public var size: UInt64 = 0
        public var modified: UInt64 = 0
        public var mode: UInt32 = 0
        public var user: UInt32 = 0
        public var group: UInt32 = 0

        public init(_ valid: UInt32) { self.valid = valid }
    }

    public func change(_ node: UInt64, _ change: Change) -> Answer {
        var body = Self.bytes(change.valid, 0)
        body += Self.bytes(change.handle, change.size, 0, change.modified, change.modified, 0)
        body += Self.bytes(UInt32(0), 0, 0, change.mode, 0, change.user, change.group, 0)
        return call(4, node, body)
    }

    public func open(_ node: UInt64, _ flags: UInt32) -> Answer { call(14, node, Self.bytes(flags, 0)) }

    public func create(_ parent: UInt64, _ name: String, _ flags: UInt32 = 2, mode: UInt32 = 0o644) -> Answer {
        call(35, parent, Self.bytes(flags | 0o100, mode, 0, 0) + Self.text(name))
    }

    public func read(_ node: UInt64, _ handle: UInt64, _ offset: UInt64, _ count: Int) -> Answer {
        call(15, node, Self.bytes(handle, offset) + Self.bytes(UInt32(count), 0, 0, 0, 0, 0), room: 16 + count)
    }

    public func write(
        _ node: UInt64, _ handle: UInt64, _ offset: UInt64, _ bytes: [UInt8], fileFlags: UInt32 = 0,
        writeFlags: UInt32 = 0, count: Int? = nil
    ) -> Answer {
        var body = Self.bytes(handle, offset) + Self.bytes(UInt32(count ?? bytes.count), writeFlags)
        body += Self.bytes(UInt64(0)) + Self.bytes(fileFlags, 0)
        return call(16, node, body + bytes)
    }

    public func release(_ node: UInt64, _ handle: UInt64) -> Answer {
        call(18, node, Self.bytes(handle, 0, 0))
    }

    /// The names in a folder, read with answers of so many bytes.
    public func names(_ node: UInt64, isPlus: Bool = false, room: Int = 4096) -> [String]? {
        let opened = call(27, node, Self.bytes(UInt32(0), 0))
        guard opened.error == 0 else { return nil }
        let handle: UInt64 = opened.integer(at: 0)
        defer { _ = call(29, node, Self.bytes(handle, 0, 0)) }
        var names: [String] = []
        var offset: UInt64 = 0
        while true {
            let answer = call(
                isPlus ? 44 : 28, node, Self.bytes(handle, offset) + Self.bytes(UInt32(room), 0, 0, 0, 0, 0),
                room: room + 16)
            guard answer.error == 0 else { return nil }
            if answer.body.isEmpty { return names }
            var place = 0
            while place < answer.body.count {
                let entry = place + (isPlus ? 128 : 0)
                let length = Int(answer.integer(UInt32.self, at: entry + 16))
                guard entry + 24 + length <= answer.body.count else { return nil }
                names.append(String(decoding: answer.body[(entry + 24)..<(entry + 24 + length)], as: UTF8.self))
                offset = answer.integer(at: entry + 8)
                place = entry + 24 + (length + 7) / 8 * 8
            }
        }
    }
}
