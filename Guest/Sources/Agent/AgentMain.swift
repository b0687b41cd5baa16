import AgentProtocol
import FileTransfer
import LinuxCalls

/// What the program does, from its first instruction: the first process of a guest or of the emulated host, or, with
/// `--unix PATH`, an agent for somebody else's machine.
public enum AgentMain {
    private static let port: UInt32 = 1024

    public static func run() -> Never {
        _ = try? setBlockedSignals(SignalSet(bits: .max))
        let isFirstProcess = Children.own == 1
        if isFirstProcess {
            GuestSystem.mountOwnFileSystems()
            openConsole()
        }
        openMissingStandardStreams()
        let arguments = ownArguments()
        if arguments.count >= 3, arguments[1] == "--unix" {
            let path = arguments[2]
            var group: ByteString = ""
            if let index = arguments.firstIndex(of: "--control-group"), index + 1 < arguments.count {
                group = arguments[index + 1]
            }
            serve(
                .unix(listen: path, dial: path + "_host"), .tool, dials: arguments.contains("--dial"),
                controlGroup: group)
        }
        guard isFirstProcess else {
            GuestSystem.report("runs as the first process of a guest, or with --unix PATH [--dial]")
            exitProcess(64)
        }
        let isHost = GuestSystem.kernelArguments().contains("swiftlet.role=host")
        if isHost { GuestSystem.awaitClock() }
        GuestSystem.loadModules()
        if isHost {
            GuestSystem.bootHost()
            serve(.tcp(port: UInt16(port)), .host, dials: false)
        }
        serve(.vsock(port: port), .guest, dials: true)
    }

    private static func serve(
        _ transport: Transport, _ role: AgentRole, dials: Bool, controlGroup: ByteString = "/sys/fs/cgroup"
    ) -> Never {
        do throws(LinuxError) {
            let server = try AgentServer(transport, role, controlGroup: controlGroup)
            if dials { server.dialHost() }
            if role == .host { GuestSystem.announceHost() }
            server.run()
        } catch {
            GuestSystem.report("cannot listen for the host: " + error.text)
        }
        if role != .tool { SystemControl.end(.restart) }
        exitProcess(role == .tool ? 0 : 1)
    }

    private static func ownArguments() -> [ByteString] {
        guard let file = try? FileTree.open(ByteString("/proc/self/cmdline").bytes, .readOnly),
            let text = try? FileTree.contents(file.number, maximumBytes: 64 << 10)
        else { return [] }
        return ByteString(text).split(0)
    }

    /// The kernel gives its first process a console only if the initramfs has the node for it.
    private static func openConsole() {
        guard (try? fileControl(2, 3)) == nil else { return }
        for _ in 0..<3 {
            guard
                let console = try? FileTree.open(
                    ByteString("/dev/console").bytes, [.readWrite, .noControllingTerminal])
            else { return }
            _ = console.release()
        }
    }
}
