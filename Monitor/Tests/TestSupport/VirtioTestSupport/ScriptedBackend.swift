import GuestMemory
public import LinuxCalls
public import VirtioDevices

/// A vhost-user backend that has said everything beforehand: its answers wait in the socket, whatever it is asked.
public final class ScriptedBackend {
    /// Its end of the connection.
    public let socket: FileDescriptor
    private let other: FileDescriptor

    public init(saying bytes: [UInt8], andCloses: Bool = false) throws(LinuxError) {
        let pair = try StreamSocket.pair()
        socket = try pair.first.duplicate()
        other = try pair.second.duplicate()
        try say(bytes)
        if andCloses { shutDownSocket(socket.number, 1) }
    }

    public func say(_ bytes: [UInt8]) throws(LinuxError) {
        if !bytes.isEmpty { _ = try send(bytes, nil, over: socket.number) }
    }

    /// The front-end's end.
    public func connect(patienceMilliseconds: UInt64 = 100) throws -> VhostUserConnection {
        try VhostUserConnection(other.duplicate(), patienceMilliseconds: patienceMilliseconds)
    }

    /// What it has been told so far.
    public func heard() -> [UInt8] {
        var bytes: [UInt8] = []
        try? setNonBlocking(socket.number)
        while (try? read(socket.number, appendingTo: &bytes, maximumBytes: 4096)) ?? 0 > 0 {}
        return bytes
    }

    /// One message; an answer unless `flags` says otherwise.
    public static func message(_ request: UInt32, _ words: [UInt64], flags: UInt32 = 5) -> [UInt8] {
        var bytes: [UInt8] = []
        for value in [request, flags, UInt32(words.count * 8)] {
            for index in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * UInt32(index)))) }
        }
        for word in words {
            for index in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> (8 * UInt64(index)))) }
        }
        return bytes
    }

    /// Bits 30 and 32.
    public static let leastFeatures: UInt64 = 1 << 30 | 1 << 32

    /// The answers of a backend that has all there is to have.
    public static func greeting(
        features: UInt64 = leastFeatures | 1 << 29 | 1 << 9, protocolFeatures: UInt64 = 1 << 9 | 1 << 3
    ) -> [UInt8] {
        message(1, [features]) + message(15, [protocolFeatures]) + configuration(sectors: 0x1122_3344)
    }

    public static func configuration(sectors: UInt64) -> [UInt8] {
        // The first four bytes of the configuration are in the same word as the flags.
        message(24, [60 << 32, sectors << 32, sectors >> 32, 0, 0, 0, 0, 0, 0])
    }
}

extension VirtioFuzzTargets {
    /// A drive whose backend says anything at all, from the beginning or once it has greeted as it should.
    public static func vhostUser(_ bytes: [UInt8]) {
        let greeting = (bytes.first ?? 0) & 1 == 0 ? [] : ScriptedBackend.greeting()
        guard let backend = try? ScriptedBackend(saying: greeting + bytes.dropFirst(), andCloses: true),
            let connection = try? backend.connect()
        else { return }
        run(bytes) { loop in
            let device = try VhostUserBlockDevice(connection, isWriteback: true, loop: loop)
            if (bytes.first ?? 0) & 2 != 0 { try? device.refresh() }
            return device
        }
    }
}
