import Identity
import Jail
import LinuxCalls
import Machine
import MachineConfiguration
import MetadataService
import MonitorAPI
import Snapshots
import WireFormats

/// The program as Firecracker: its command line, its API, its log and metrics.
final class FirecrackerFace: @unchecked Sendable {
    private let invocation: FirecrackerInvocation
    private let log: MonitorLog
    private let owner: MachineOwner
    private let service: APIService
    /// Of the API's thread, which is there before it is known what the machine has.
    private let confinement: Confinement

    init(_ invocation: FirecrackerInvocation) {
        self.invocation = invocation
        let log = MonitorLog(identifier: invocation.identifier)
        self.log = log
        let metadata = MetadataStore(
            limitBytes: invocation.metadataLimitBytes ?? invocation.maximumBodyBytes)
        let filtering: Confinement.Mode =
            if let recorder = invocation.recorder { .recorded(recorder) } else {
                invocation.isFiltered ? .enforced : .open
            }
        owner = MachineOwner(
            log: log, metadata: metadata, hasBootTimer: invocation.hasBootTimer, filtering: filtering,
            servesAPI: invocation.servesAPI)
        confinement = Confinement(filtering, parts: .all, dropsCapabilities: true)
        let now = Clock.monotonic.nanoseconds() / 1000
        let processorTime = Clock.processor.nanoseconds() / 1000
        service = APIService(
            identifier: invocation.identifier, control: owner, log: log,
            metrics: MonitorMetrics(
                log: log, startupMicroseconds: invocation.startMicroseconds.map { now &- $0 } ?? 0,
                startupProcessorMicroseconds: invocation.startProcessorMicroseconds.map {
                    processorTime &- $0 &+ (invocation.parentProcessorMicroseconds ?? 0)
                } ?? 0),
            metadata: metadata)
    }

    /// Started under a name with "firecracker" in it, as the jailer wants it, or with a path for the API's socket.
    static func isMeant(by arguments: [String]) -> Bool {
        let name = arguments.first?.utf8.split(separator: 0x2f).last.map(Array.init)
        return name.map(Identity.isFirecracker) == true || arguments.contains("--api-sock")
    }

    /// - Returns: what to exit with.
    static func run(_ arguments: ArraySlice<String>) -> Int32 {
        let invocation: FirecrackerInvocation
        do throws(InvocationFault) { invocation = try FirecrackerInvocation(arguments) } catch {
            writeToStandardError("\(error)\n")
            return error.exitStatus
        }
        switch invocation.errand {
        case .help:
            writeToStandardOutput("Firecracker v\(APIService.version)\n\n" + FirecrackerInvocation.helpText)
        case .version:
            writeToStandardOutput(
                "Firecracker v\(APIService.version)\n\nswiftlet-vmm \(Identity.version)\n")
        case .snapshotVersion:
            writeToStandardOutput("v\(SnapshotFormat.major).\(SnapshotFormat.minor).0\n")
        case .describeSnapshot(let path): return describe(path)
        case nil: return FirecrackerFace(invocation).serve()
        }
        return 0
    }

    /// Prints the version of the format that a state file has, when it is whole.
    private static func describe(_ path: String) -> Int32 {
        do throws(MachineError) {
            let state = try SnapshotFiles(statePath: path, memoryPath: "").readState()
            writeToStandardOutput("v\(state.majorVersion).\(state.minorVersion).0\n")
            return 0
        } catch {
            writeToStandardError("Error: \(error)\n")
            return ExitStatus.notBuilt
        }
    }

    private func serve() -> Int32 {
        let status: Int32
        do throws(FaceFault) {
            try prepare()
            status = try run()
        } catch {
            log.write(.error, error.description, thread: "main")
            writeToStandardError("Error: \(error)\n")
            status = 1
        }
        log.write(
            status == 0 ? .info : .error,
            "Firecracker exiting \(status == 0 ? "successfully" : "with error"). exit_code=\(status)", thread: "main")
        return status
    }

    private func prepare() throws(FaceFault) {
        try? PrivilegeDrop.leaveNoCoreFile()
        var output: Int32?
        if let path = invocation.logPath {
            do throws(HostRefusal) { output = try owner.openOutput(path) } catch {
                throw FaceFault("Could not initialize logger: Failed to open target file: \(error)")
            }
        }
        log.set(
            output: output, level: invocation.level, showsLevel: invocation.showsLevel,
            showsOrigin: invocation.showsOrigin)
        log.write(.info, "Running Firecracker v\(APIService.version)", thread: "main")
        if let path = invocation.metricsPath {
            do throws(HostRefusal) { service.metrics.open(try owner.openOutput(path)) } catch {
                throw FaceFault("Could not initialize metrics: \(error)")
            }
        }
        if let path = invocation.metadataPath {
            let bytes = try contents(path, "metadata")
            let value: JSONValue
            do throws(JSONShapeError) { value = try JSONParser.parseFree(bytes) } catch {
                throw FaceFault("metadata file \"\(path)\": \(error)")
            }
            guard service.metadata.set(value) else {
                throw FaceFault("metadata file \"\(path)\": longer than \(service.metadata.limitBytes) bytes")
            }
        }
    }

    private func contents(_ path: String, _ purpose: String) throws(FaceFault) -> [UInt8] {
        do throws(LinuxError) {
            let file = try open(path, .readOnly)
            var bytes: [UInt8] = []
            // A little more than may be, so that what is too long is seen to be.
            while bytes.count <= JSONParser.maximumBytes {
                if try read(file.number, appendingTo: &bytes, maximumBytes: 4096) == 0 { break }
            }
            return bytes
        } catch {
            throw FaceFault("Unable to open or read from the \(purpose) file: \(path): \(error.originalWords)")
        }
    }

    private func run() throws(FaceFault) -> Int32 {
        if let path = invocation.configurationPath {
            let bytes = try contents(path, "configuration")
            do throws(APIService.FileFault) {
                try service.configure(bytes)
                try service.startFromFile()
            } catch {
                throw FaceFault("Failed to build MicroVM from Json: \(error)")
            }
            log.write(.info, "Successfully started microvm that was configured from one single json", thread: "main")
        }
        let loop = try startServing()
        let end = owner.waitAndRun()
        // On the thread that counts, so that it does not count meanwhile.
        _ = loop?.perform { [self] in service.flushMetrics() }
        if invocation.servesAPI { try? removeFile(invocation.socketPath) }
        log.write(end.exitStatus == 0 ? .info : .error, "\(end)", thread: "main")
        return end.exitStatus
    }

    /// Starts the API's thread, or one that only writes metrics, or none.
    private func startServing() throws(FaceFault) -> EventLoop? {
        guard invocation.servesAPI || service.metrics.isOpen else { return nil }
        do throws(LinuxError) {
            let loop = try EventLoop()
            var server: APIServer?
            if invocation.servesAPI { server = try listen(loop) }
            let clock = try MetricsClock(loop) { [self] in service.flushMetrics() }
            // Signals are for the main thread, but the one by which a filter tells what it refused.
            let before = try blockSignals(SignalSet(bits: ~SignalSet(SignalNumber.badSystemCall).bits))
            try startThread(stackBytes: 512 << 10) { [kept = Kept(server, clock), log, confinement] in
                confinement.enter(.api)
                log.write(.info, "API server started.")
                loop.run()
                _ = kept
            }
            try setBlockedSignals(before)
            return loop
        } catch {
            if error.number == LinuxError.addressInUse.number {
                throw FaceFault(
                    "RunWithApiError error: Failed to open the API socket at: \(invocation.socketPath). Check that it is not already used."
                )
            }
            throw FaceFault(
                "RunWithApiError error: Failed to bind and run the HTTP server: IO error: \(error.originalWords)")
        }
    }

    private func listen(_ loop: EventLoop) throws(LinuxError) -> APIServer {
        let path = invocation.socketPath
        let listener = try UnixSocket.listen(path)
        log.write(.info, "Listening on API socket (\"\(path)\").", thread: "main")
        return try APIServer(listener, loop: loop, maximumBodyBytes: invocation.maximumBodyBytes) { [service] in
            service.answer($0)
        }
    }

    /// What lives as long as the thread.
    private final class Kept: @unchecked Sendable {
        let server: APIServer?
        let clock: MetricsClock
        init(_ server: APIServer?, _ clock: MetricsClock) {
            self.server = server
            self.clock = clock
        }
    }
}

/// Why the program cannot serve.
struct FaceFault: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Has the metrics written every minute.
private final class MetricsClock: EventHandler {
    private static let intervalNanoseconds: UInt64 = 60_000_000_000
    private let timer: TimerFile
    private let tick: () -> Void

    init(_ loop: EventLoop, tick: @escaping () -> Void) throws(LinuxError) {
        self.tick = tick
        timer = try TimerFile()
        _ = try loop.add(timer.descriptor.number, .readable, handler: self)
        try timer.arm(firstNanoseconds: Self.intervalNanoseconds, intervalNanoseconds: Self.intervalNanoseconds)
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        timer.drain()
        tick()
    }
}
