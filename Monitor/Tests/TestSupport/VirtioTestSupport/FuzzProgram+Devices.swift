import CLinux
import GuestMemory
import LinuxCalls
import VirtioDevices

extension VirtioFuzzTargets {
    static func run(_ bytes: [UInt8], _ make: (EventLoop) throws -> any VirtioDevice) {
        guard let loop = try? DeviceHarness.makeLoop(), let memory = try? GuestMemory(totalBytes: 1 << 20),
            let device = try? make(loop)
        else { return }
        var program = FuzzProgram(bytes)
        try? program.run(device, memory: memory)
    }

    /// A vsock device whose guest has the context 3 and finds nobody.
    public static func vsock(_ bytes: [UInt8]) {
        let path = "/tmp/fuzz-vsock-\(Clock.monotonic.nanoseconds())"
        run(bytes) { loop in
            try VsockDevice(guestCID: 3, backend: try VsockBackend(path: path), loop: loop)
        }
    }

    /// A network device over a socket where 64 KiB wait, and that nobody empties.
    public static func net(_ bytes: [UInt8]) {
        guard let wire = try? StreamSocket.pair() else { return }
        let number = wire.second.number
        // SAFETY: the array outlives the call.
        _ = unsafe [UInt8](repeating: 0, count: 64 << 10).withUnsafeBytes { unsafe try? StreamSocket.send(number, $0) }
        run(bytes) { loop in
            NetDevice(TapInterface(packetSocket: try wire.first.duplicate()), mtu: 1500, loop: loop)
        }
    }

    /// 64 blocks in two slots, the second of which the host does not take; half of them are wanted.
    public static func memory(_ bytes: [UInt8]) {
        guard let loop = try? DeviceHarness.makeLoop(), let memory = try? GuestMemory(totalBytes: 1 << 20),
            let attachment = try? memory.attachPluggable(lengthBytes: 64 << 12, blockBytes: 1 << 12)
        else { return }
        let device = MemoryDevice(attachment, slotBytes: 32 << 12, loop: loop) { number, _ throws(LinuxError) in
            if number == 1 { throw LinuxError(ENOMEM) }
        }
        _ = device.request(bytes: 32 << 12)
        var program = FuzzProgram(bytes)
        try? program.run(device, memory: memory)
        let plugged = (0..<64).count { attachment.areBlocks($0, 1, plugged: true) }
        precondition(device.pluggedBytes == UInt64(plugged) << 12, "blocks and their number differ")
    }

    /// Three pages of a file, the second of which is a hole, and behind them zeros up to 2 MiB.
    public static func persistentMemory(_ bytes: [UInt8]) {
        guard let loop = try? DeviceHarness.makeLoop(), let memory = try? GuestMemory(totalBytes: 1 << 20),
            let file = try? memoryFile(name: "persistent", lengthBytes: 3 << 12),
            let attachment = try? memory.attach(file: file, fileBytes: 3 << 12, isReadOnly: bytes.first == 0)
        else { return }
        let device = PersistentMemoryDevice(file, attachment, loop: loop)
        var program = FuzzProgram(bytes)
        try? program.run(device, memory: memory)
    }

    public static func balloon(_ bytes: [UInt8]) {
        run(bytes) { loop in
            let device = try BalloonDevice(
                targetMebibytes: 1, isDeflatingOnOutOfMemory: true, statisticsIntervalSeconds: 1,
                isHintingFreePages: true, isReportingFreePages: true, loop: loop)
            // As if the host had asked for hints before the guest began.
            try device.restore(ownState: [256, 0, 2])
            return device
        }
    }
}
