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

    public static func balloon(_ bytes: [UInt8]) {
        run(bytes) { loop in
            try BalloonDevice(
                targetMebibytes: 1, isDeflatingOnOutOfMemory: true, statisticsIntervalSeconds: 1,
                isReportingFreePages: true, loop: loop)
        }
    }
}
