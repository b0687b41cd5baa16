import AgentProtocol
import FabricEngine
import FabricProtocol
import Impairing
import LinuxCalls
import Packets
import Seeing
import WireFormats

/// What the program was started for.
struct Errand {
    private static let usage = """
        one of start FOLDER (unless it runs), ask FOLDER FILE (a request as JSON), enter FOLDER PROGRAM ARGUMENT... (in the \
        fabric's network namespace), capture FOLDER WHAT... (what goes by), flows FOLDER (connections), trace FOLDER WHAT... (a packet's way), \
        serve FOLDER (as start does, in the foreground), compare FOLDER MILLISECONDS INSIDE OUTSIDE INSIDE OUTSIDE (what an appliance in line and \
        its shadow let through, by the ports of their ends; until its standard input ends), hold FOLDER (keep an ordinary user's namespaces; for the \
        engine), namespaces USER GROUP (make them; for who keeps them), impair FOLDER PORT (the wire of a machine; for the engine)
        """

    private static let program: ByteString = "/proc/self/exe"

    let arguments: [String]
    /// Those that were blocked when it began.
    let signals: SignalSet?

    func run() -> Int32 {
        do throws(FabricFault) {
            guard arguments.count >= 3 else { throw FabricFault(Self.usage) }
            let folder = EngineFolder(arguments[2])
            switch arguments[1] {
            case "start" where arguments.count == 3:
                try EngineProcess.start(folder, program: Self.program)
            case "serve" where arguments.count == 3:
                return serve { () throws(FabricFault) in
                    try EngineProcess.serve(folder, program: Self.program)
                }
            case "hold" where arguments.count == 3:
                return serve { () throws(FabricFault) in
                    try HolderProcess.run(folder, program: Self.program)
                }
            case "namespaces" where arguments.count == 4:
                guard let user = UInt32(arguments[2]), let group = UInt32(arguments[3]) else {
                    throw FabricFault(Self.usage)
                }
                return HolderProcess.makeNamespaces(user: user, group: group)
            case "ask" where arguments.count == 4:
                try EngineProcess.startWhereKilled(folder, program: Self.program)
                letSignalsEnd()
                return tell(try EngineProcess.ask(folder, try contents(of: arguments[3])))
            case "enter" where arguments.count >= 4:
                // The program gets signals as this one got them.
                if let signals { _ = try? setBlockedSignals(signals) }
                throw EngineProcess.enter(folder, arguments[3...].map { ByteString($0) })
            case "capture":
                let request = try CaptureRequest(Array(arguments[3...]))
                try EngineProcess.join(folder)
                try Capture(request).run()
            case "flows" where arguments.count == 3:
                try EngineProcess.join(folder)
                try Flows.tell()
            case "trace":
                let packet = TracePacket(try TraceRequest(Array(arguments[3...])), random: randomBytes(6))
                // Before the fabric is entered; who is in it already sees nothing else.
                let outside = EngineProcess.isInside(folder) ? nil : TraceOutside(of: packet)
                try EngineProcess.join(folder)
                try Trace(packet, outside: outside).run()
            case "impair" where arguments.count == 4: try impair(folder)
            case "compare" where arguments.count == 8: return try compare(folder)
            default: throw FabricFault(Self.usage)
            }
            return 0
        } catch {
            writeToStandardError("swiftlet-fabric: \(error)\n")
            return 1
        }
    }

    /// For an engine, whose network namespace it is in already.
    private func impair(_ folder: EngineFolder) throws(FabricFault) {
        guard let number = UInt16(arguments[3]) else { throw FabricFault(Self.usage) }
        let port = FabricPort(number: number, network: nil, hardwareAddress: [])
        var stretch = try ImpairedStretch(folder.stretchPage(number), port: port)
        stretch.run()
    }

    private func compare(_ folder: EngineFolder) throws(FabricFault) -> Int32 {
        let ends = arguments[4...].compactMap { UInt16($0) }
        guard let milliseconds = UInt64(arguments[3]), milliseconds <= 86_400_000, ends.count == 4 else {
            throw FabricFault(Self.usage)
        }
        try EngineProcess.join(folder)
        letSignalsEnd()
        let watch = try ShadowWatch(present: (ends[0], ends[1]), shadow: (ends[2], ends[3]))
        try watch.confine()
        guard let result = watch.run(milliseconds: milliseconds) else { return 1 }
        var said: [UInt8] = []
        result.write(to: &said)
        return tell(said)
    }

    /// What goes wrong before it serves is for whoever started it.
    private func serve(_ body: () throws(FabricFault) -> Void) -> Int32 {
        do throws(FabricFault) {
            try body()
            return 0
        } catch {
            writeToStandardOutput(error.description)
            return 1
        }
    }

    private func contents(of path: String) throws(FabricFault) -> [UInt8] {
        do throws(LinuxError) {
            let file = try open(path, .readOnly)
            return try FileTree.contents(file.number, maximumBytes: 1 << 20)
        } catch {
            throw FabricFault("\(path) cannot be read: \(error)")
        }
    }

    /// Whoever does not want to wait for what takes long any more ends it so.
    private func letSignalsEnd() { _ = try? setBlockedSignals(SignalSet()) }

    /// Writes an answer; 1 when it says that nothing was changed, or says nothing.
    private func tell(_ answer: [UInt8]) -> Int32 {
        try? writeAll(1, answer)
        return answer.isEmpty || answer.starts(with: Array("{\"error\"".utf8)) ? 1 : 0
    }
}
