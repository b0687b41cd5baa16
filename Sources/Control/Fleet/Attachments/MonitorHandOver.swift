import AgentClient
import AgentProtocol
import ChildProcesses
import EmulatedHost
import LinuxCalls

/// Orders for the monitor of a machine that runs which bring an open file along.
///
/// `swiftlet-vmm attach`, beside the monitor, opens it and hands it over: what is open here could not be handed to a monitor in
/// the emulated host.
struct MonitorHandOver {
    enum File {
        /// A lock on the file goes with the descriptor, and so stays until the monitor has closed it.
        case disk(MachineSpecification.Disk, Int32?)
        case tap(String, address: String?)
    }

    private static let mostAnswerBytes = 64 << 10
    let control: MonitorControl
    let program: String
    let host: RunningHost?
    /// What is put before the program's arguments where it runs; empty for what needs no network namespace of its own.
    var entrance: [String] = []

    init(_ record: MachineRecord, store: MachineStore) throws(FleetError) {
        let domain = try Launchers.sockets(of: record, paths: store.paths)
        control = MonitorControl(record, domain: domain)
        program = store.paths.monitor
        host = record.isEmulated ? EmulatedHost(try Launchers.hostSettings(store.paths)).running() : nil
    }

    /// - Returns: the body of the monitor's answer.
    func order(_ resource: String, _ body: String, _ file: File) throws -> [UInt8] {
        let request = Array(MonitorControl.request("PUT", resource, body).utf8)
        let (answer, messages) =
            if let host { try inside(host, arguments(file, isInside: true), request) } else {
                try here(arguments(file, isInside: false), request, file)
            }
        guard let answer = try? MonitorAnswer(answer) else {
            let reason = String(decoding: messages, as: UTF8.self).replacing("swiftlet-vmm: ", with: "")
            throw FleetError(
                .notControlled,
                "the monitor of \"\(control.name)\" could not be given the device: "
                    + (reason.split(separator: "\n").first.map(String.init) ?? "it gave no answer"))
        }
        return try control.checked((answer.status, answer.body))
    }

    private func arguments(_ file: File, isInside: Bool) -> [String] {
        let device: [String] =
            switch file {
            case .disk(let disk, let descriptor):
                isInside || descriptor == nil
                    ? ["disk", disk.path, disk.isReadOnly ? "ro" : "rw"] : ["descriptor", "3"]
            case .tap(let name, let address): ["tap", name] + (address.map { [$0] } ?? [])
            }
        return entrance + [program, "attach", control.path] + device
    }

    private func here(
        _ arguments: [String], _ request: [UInt8], _ file: File
    ) throws(FleetError) -> (answer: [UInt8], messages: [UInt8]) {
        do throws(LinuxError) {
            // A request fits a pipe's buffer.
            let input = try PipePair()
            try writeAll(input.writing.number, request)
            var settings = ChildProcess.Settings(arguments)
            settings.descriptors = [0: input.reading.number]
            if case .disk(_, let descriptor?) = file { settings.descriptors[3] = descriptor }
            return try Self.outputs(of: settings, closing: input)
        } catch {
            throw FleetError(.missingPart, "\(program) cannot be started: \(error)")
        }
    }

    private static func outputs(
        of settings: ChildProcess.Settings, closing input: consuming PipePair
    ) throws(LinuxError) -> (answer: [UInt8], messages: [UInt8]) {
        let output = try PipePair()
        let error = try PipePair()
        var settings = settings
        settings.descriptors[1] = output.writing.number
        settings.descriptors[2] = error.writing.number
        let child = try ChildProcess(settings)
        close(input)
        let answering = try output.reading.duplicate()
        let telling = try error.reading.duplicate()
        close(output)
        close(error)
        var answer: [UInt8] = []
        var messages: [UInt8] = []
        while answer.count < mostAnswerBytes, try read(answering.number, appendingTo: &answer, maximumBytes: 4096) > 0 {
        }
        while messages.count < mostAnswerBytes, try read(telling.number, appendingTo: &messages, maximumBytes: 4096) > 0
        {}
        _ = child.wait()
        return (answer, messages)
    }

    private static func close(_ pipe: consuming PipePair) {}

    private func inside(
        _ host: RunningHost, _ arguments: [String], _ request: [UInt8]
    ) throws -> (answer: [UInt8], messages: [UInt8]) {
        let input = try PipePair()
        try writeAll(input.writing.number, request)
        let reading = try input.reading.duplicate()
        Self.close(input)
        let output = CollectedOutput(mostBytes: Self.mostAnswerBytes)
        let start = host.start(
            arguments, environment: [], workingDirectory: "/",
            streams: .pipes(input: true, output: true, error: true))
        let session = try ProcessSession(start, over: try host.connect(), output: output)
        session.silenceAfterExit = ProcessSession.emulatedSilenceAfterExit
        session.endpoint = host
        session.ownedInput = consume reading
        _ = try session.run()
        return (output.bytes(of: .standardOutput), output.bytes(of: .standardError))
    }
}
