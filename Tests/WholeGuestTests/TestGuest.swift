import AgentClient
import AgentProtocol
import GuestKernels
import LinuxCalls
import Synchronization
import Testing

@testable import Fleet

/// What a guest under test is made of, beyond what every guest has: the busybox image, vsock, entropy, a console.
struct GuestPlan {
    struct Drive {
        var path: String
        var isReadOnly = false
        var options = #""cache_type":"Writeback""#
    }

    var kernel = "swiftlet"
    /// Another file with the same kernel in it.
    var kernelPath: String?
    var bootProtocol = "auto"
    var processors: Int
    var memoryMebibytes = 192
    /// The root drive's files, in place of the image.
    var rootSegments: [String] = []
    /// `/dev/vdb` and on.
    var drives: [Drive] = []
    /// A TAP device where the monitor runs.
    var tap: String?
    var balloon = #"{"amount_mib":0,"deflate_on_oom":true,"free_page_reporting":true}"#
    var configuration = Configuration()

    init(kernel: String = "swiftlet", processors: Int = 1) {
        self.kernel = kernel
        self.processors = processors
    }

    /// The monitor's configuration file.
    func json(_ kernel: StoredKernel, initrds: [String], imagePaths: [String], socketPath: String) -> String {
        let segments = (rootSegments.isEmpty ? imagePaths : rootSegments).map { "\"\($0)\"" }.joined(separator: ",")
        var drives = [#"{"drive_id":"root","segments":[\#(segments)],"is_root_device":false,"is_read_only":true}"#]
        for (index, drive) in self.drives.enumerated() {
            drives.append(
                #"{"drive_id":"disk\#(index)","path_on_host":"\#(drive.path)","is_root_device":false,"#
                    + #""is_read_only":\#(drive.isReadOnly),\#(drive.options)}"#)
        }
        let network = tap.map { #","network-interfaces":[{"iface_id":"eth0","host_dev_name":"\#($0)"}]"# } ?? ""
        let initrdList = initrds.map { "\"\($0)\"" }.joined(separator: ",")
        return #"""
            {"boot-source":{"kernel_image_path":"\#(kernelPath ?? kernel.path)","boot_protocol":"\#(bootProtocol)",
              "boot_args":"console=ttyS0 reboot=k panic=-1 \#(kernel.arguments)","initrd_paths":[\#(initrdList)]},
             "machine-config":{"vcpu_count":\#(processors),"mem_size_mib":\#(memoryMebibytes)},
             "drives":[\#(drives.joined(separator: ","))],"vsock":{"guest_cid":3,"uds_path":"\#(socketPath)"},
             "entropy":{},"balloon":\#(balloon),"console":{"input_descriptor":-1},"lifeline":{"descriptor":0}\#(network)}
            """#
    }
}

/// A whole guest: a monitor of its own, and the agent that answered. It ends with this object at the latest.
final class TestGuest {
    private static let patienceMilliseconds: UInt64 = 300_000
    let socketPath: String
    let monitor: any RunningMonitor
    let control: AgentConnection
    private let endpoint: VsockEndpoint
    private let console: CollectedOutput
    private let watch: DiskFailureWatch
    private var failures: [DiskFailure] = []
    private let scratch: ScratchFiles
    private let configurationPath: String
    private var lastProcess: UInt32 = 1

    /// What the agent has said of the root's disk.
    private let damages = DamageList()

    private final class DamageList: Sendable {
        let list = Mutex<[DiskDamage]>([])
    }

    struct Failed: Error {
        let text: String
        var damage: [DiskDamage] = []
    }

    init(_ plan: GuestPlan) throws {
        let launcher = try Lab.launcher()
        let kernel = try Lab.kernels.resolve(plan.kernel)
        scratch = try ScratchFiles()
        console = CollectedOutput()
        let place = try launcher.prepare(
            "test-\(UInt32.random(in: 0...(.max)))", controlFolder: nil, servesFolders: false)
        socketPath = place.socketPath
        let initrds = [try AgentArchive.prepare(Lab.paths)] + (kernel.modulesPath.map { [$0] } ?? [])
        configurationPath = try scratch.write(
            "monitor.json",
            plan.json(kernel, initrds: initrds, imagePaths: try Lab.image().diskPaths, socketPath: socketPath))
        let listener = try launcher.sockets.listen("\(socketPath)_\(VsockEndpoint.agentPort)", expecting: 1)
        defer { listener.close() }
        endpoint = VsockEndpoint(path: socketPath, domain: launcher.sockets)
        watch = try DiskFailureWatch(console)
        monitor = try launcher.start(
            Lab.paths.monitor, configurationPath: configurationPath, in: place, console: watch)
        do {
            control = try Self.awaitAgent(listener, monitor)
            control.whenDamaged = { [damages] damage in damages.list.withLock { $0.append(damage) } }
            var configuration = plan.configuration
            if configuration.root == nil {
                configuration.root = RootFileSystem(source: "/dev/vda", fileSystem: "erofs")
            }
            try control.send(.configure(configuration), id: 1)
            _ = try control.answer(to: 1, until: Deadline(afterMilliseconds: Self.patienceMilliseconds))
        } catch {
            monitor.end()
            throw Failed(
                text: "\(error); the console:\n" + console.text(of: .standardOutput) + monitor.ending,
                damage: damages.list.withLock { $0 })
        }
    }

    deinit { monitor.end() }

    private static func awaitAgent(
        _ listener: any SocketListener, _ monitor: any RunningMonitor
    ) throws -> AgentConnection {
        let deadline = Deadline(afterMilliseconds: patienceMilliseconds)
        while true {
            var entries = [PollEntry(reading: monitor.exitDescriptor)]
            entries += listener.descriptors.map { PollEntry(reading: $0) }
            guard wait(for: &entries, until: deadline) > 0 else {
                if deadline.isOver { throw Failed(text: "the guest did not answer in time") }
                continue
            }
            if let connection = try listener.accept() {
                let socket = AgentSocket(connection)
                _ = try Opening(decoding: try socket.readExactly(Opening.byteCount, until: deadline))
                return try AgentConnection(greetingOn: socket, until: deadline)
            }
            if entries[0].isReady {
                _ = monitor.waitUntilEnded(milliseconds: 30_000)
                throw Failed(text: "the monitor ended before the guest answered")
            }
        }
    }

    var damage: [DiskDamage] { damages.list.withLock { $0 } }

    /// What the monitor has said of its disks.
    var diskFailures: [DiskFailure] {
        failures += watch.take()
        return failures
    }

    /// What the kernel, the agent and the monitor have said.
    var consoleText: String { console.text(of: .standardOutput) + console.text(of: .standardError) }

    /// Runs a shell script in the guest; what it wrote, without the last newline. It must succeed.
    @discardableResult
    func shell(_ script: String) throws -> String {
        lastProcess += 1
        let output = CollectedOutput()
        var generator = SystemRandomNumberGenerator()
        let start = Start(
            arguments: ["/bin/sh", "-euc", ByteString(script)],
            streams: .pipes(input: false, output: true, error: true),
            streamOrigin: .host, token: Token(first: generator.next(), second: generator.next()))
        let session = try ProcessSession(start, id: lastProcess, over: control, output: output)
        session.endpoint = endpoint
        session.machineExit = monitor.exitDescriptor
        session.timeLimit = .seconds(600)
        session.silenceAfterExit = ProcessSession.emulatedSilenceAfterExit
        let end = try session.run()
        let text = output.text(of: .standardOutput)
        guard case .exited(let status) = end, status.shellStatus == 0 else {
            throw Failed(text: "\(end): \(text)\(output.text(of: .standardError)); the console:\n\(consoleText)")
        }
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    /// Puts a file of this machine into a folder of the guest.
    func copy(_ path: String, to folder: String) throws { try FileCopy.into(endpoint, from: path, to: folder) }

    /// The monitor's process, where it runs.
    func processIdentifier() throws -> String {
        let text = try Lab.onHost(
            """
            for p in /proc/[0-9]*; do
                [ "$(cat $p/comm 2> /dev/null)" = swiftlet-vmm ] || continue
                if grep -qs \(configurationPath) $p/cmdline; then echo ${p#/proc/}; fi
            done
            """)
        return String(text.split(separator: "\n").first ?? "none")
    }

    /// Sends the monitor a signal by its name.
    func signal(_ name: String) throws { try Lab.onHost("kill -\(name) \(try processIdentifier())") }

    /// Has the agent end the guest, and gives back how the monitor ended.
    func powerOff() throws -> String {
        try control.send(.powerOff(PowerOff(.powerOff, graceMilliseconds: 2000)))
        return try waitForEnd()
    }

    /// Asks until it is so, for a minute or two at most. What is waited for is checked next.
    func soon(_ isSo: () throws -> Bool) throws {
        for _ in 0..<120 {
            if try isSo() { return }
            try shell("sleep 0.3")
        }
    }

    /// Waits for the guest's own end.
    func waitForEnd(milliseconds: UInt64 = 120_000) throws -> String {
        guard monitor.waitUntilEnded(milliseconds: milliseconds) else {
            throw Failed(text: "the guest did not end; the console:\n\(consoleText)")
        }
        return monitor.ending
    }
}

/// A folder of a test's own.
final class ScratchFiles: Sendable {
    let folder: String

    init() throws {
        folder = "/tmp/swiftlet-guests-\(UInt32.random(in: 0...(.max)))"
        try FileTree.makeDirectory(ByteString(folder).bytes, mode: 0o755)
    }

    deinit { _ = try? shellHere("rm -rf \(folder)") }

    func path(_ name: String) -> String { folder + "/" + name }

    func write(_ name: String, _ text: String) throws -> String {
        let file = try FileTree.open(
            ByteString(path(name)).bytes, [.writeOnly, .create, .exclusive], mode: 0o644)
        try writeAll(file.number, Array(text.utf8))
        return path(name)
    }
}
