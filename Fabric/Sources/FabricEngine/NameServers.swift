import AgentProtocol
import ChildPrograms
import FabricProtocol
import FabricRules
import LinuxCalls

/// The programs that give names and addresses, one for each network that has any.
struct NameServers {
    private static let program: ByteString = "/usr/sbin/dnsmasq"
    /// One that ends sooner would end again.
    private static let leastNanoseconds: UInt64 = 1_000_000_000
    /// How long one may take to end, or to begin.
    private static let patienceNanoseconds: UInt64 = 10_000_000_000
    private static let pauseNanoseconds: UInt64 = 2_000_000

    private struct Running {
        let process: Int32
        let settings: String
        let since: UInt64
    }
    /// What it is told to end by. One that keeps nothing, and waits at its end for its log to be read, ends by SIGKILL alone.
    private let endSignal: Int32

    init(endSignal: Int32 = SignalNumber.terminate) { self.endSignal = endSignal }

    /// By the numbers of networks, which their folders and bridges are called by, or of what else they are for.
    private var processes: [UInt16: Running] = [:]

    /// Starts the network's, or starts it anew when its settings are others.
    /// - Parameters:
    ///   - ports: the machines that are in it.
    ///   - isBridgeNew: whether one that runs listens on a bridge that is no more.
    mutating func serve(
        _ network: FabricNetwork, _ ports: [FabricPort], in folder: NameFolder, isBridgeNew: Bool = false
    ) throws(FabricFault) {
        if !network.givesNames { return end(network.number) }
        for path in [folder.path, folder.names, folder.leases] { try EngineFolder.make(path) }
        let settings = NameSettings.text(
            of: network, names: folder.names, leases: folder.leases, given: folder.given, pidFile: folder.pidFile)
        try serve(network.number, by: settings, in: folder, isBridgeNew: isBridgeNew) { () throws(FabricFault) in
            try Self.forget(besides: ports, in: folder)
        }
    }

    /// Starts, or starts anew, the one that answers those who may not reach everything; ends it where there is none of them.
    /// - Parameters:
    ///   - names: where the names of the network's machines are.
    ///   - log: where it says what it refuses; to be one that it need not wait for.
    mutating func serveStrictly(
        _ network: FabricNetwork, _ ports: [FabricPort], in folder: NameFolder, names: String,
        log: Int32, isBridgeNew: Bool = false
    ) throws(FabricFault) {
        guard network.givesNames,
            let settings = EgressNames.text(of: network, ports, names: names, pidFile: folder.pidFile)
        else { return end(network.number) }
        try EngineFolder.make(folder.path)
        try serve(network.number, by: settings, in: folder, isBridgeNew: isBridgeNew, log: log)
    }

    /// Starts, or starts anew, one by these settings, unless it runs by them.
    /// - Parameters:
    ///   - log: where it says what it says.
    ///   - prepare: what is to be done when the one before has ended.
    mutating func serve(
        _ number: UInt16, by settings: String, in folder: NameFolder, isBridgeNew: Bool, log: Int32 = 2,
        _ prepare: () throws(FabricFault) -> Void = { () throws(FabricFault) in }
    ) throws(FabricFault) {
        if !isBridgeNew, let running = processes[number], running.settings == settings { return }
        end(number)
        endPredecessor(folder)
        try prepare()
        try EngineFolder.write([UInt8](settings.utf8), to: folder.settings)
        do throws(LinuxError) {
            let process = try Programs.start(
                [Self.program, "--conf-file=" + ByteString(folder.settings)], output: 2, errors: log)
            processes[number] = Running(
                process: process, settings: settings, since: Clock.monotonic.nanoseconds())
        } catch {
            throw FabricFault("names cannot be served: dnsmasq: \(error)")
        }
    }

    /// Has it forget the machines that are no more: it hears of what is new by itself, and of what is gone when it is told.
    func reload(_ network: UInt16, in folder: NameFolder) {
        guard let running = processes[network] else { return }
        // Before, the signal would end it, or it may have read the names already.
        Self.awaitReady(folder)
        try? Children.signal(running.process, SignalNumber.hangUp)
    }

    /// Until it listens, and takes signals.
    static func awaitReady(_ folder: NameFolder) {
        Self.await { EngineFolder.read(folder.pidFile, maximumBytes: 32)?.isEmpty == false }
    }

    /// Has it give a machine its address, though it has given that to another one before. It reads such things when it begins only.
    mutating func take(
        _ port: FabricPort, _ network: FabricNetwork, _ plan: FabricPlan, in folder: NameFolder
    ) throws(FabricFault) {
        guard let given = Self.given(folder), NameSettings.isGiven(given, besides: port) else { return }
        end(network.number)
        try serve(network, plan.ports(in: network), in: folder)
    }

    private static func given(_ folder: NameFolder) -> String? {
        EngineFolder.read(folder.given, maximumBytes: 1 << 20).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func forget(besides ports: [FabricPort], in folder: NameFolder) throws(FabricFault) {
        guard let given = given(folder) else { return }
        try EngineFolder.write([UInt8](NameSettings.given(given, keptFor: ports).utf8), to: folder.given)
    }

    /// One that an engine before has left. It has the bridge's ports until it has ended.
    func endPredecessor(_ folder: NameFolder) {
        let left = Self.process(folder)
        try? removeFile(folder.pidFile)
        guard let left else { return }
        for signal in [SignalNumber.terminate, SignalNumber.kill] {
            try? Children.signal(left, signal)
            if Self.await({ Self.hasEnded(left) }) { return }
        }
    }

    /// The one that runs by the settings there, whoever has started it.
    static func process(_ folder: NameFolder) -> Int32? {
        // The number may be another program's by now.
        let arguments = [UInt8](("dnsmasq\0--conf-file=" + folder.settings + "\0").utf8)
        guard let number = EngineFolder.read(folder.pidFile, maximumBytes: 32).flatMap(ProcessFile.number),
            let own = EngineFolder.read("/proc/\(number)/cmdline", maximumBytes: 4096),
            own.suffix(arguments.count).elementsEqual(arguments)
        else { return nil }
        return number
    }

    /// Whether a process has let go of all that it had, though nobody may have asked yet how it ended.
    private static func hasEnded(_ process: Int32) -> Bool {
        guard let status = EngineFolder.read("/proc/\(process)/stat", maximumBytes: 4096),
            let name = status.lastIndex(of: UInt8(ascii: ")")), name + 2 < status.count
        else { return true }
        // Zombies and the dead. Source: proc(5).
        return [UInt8(ascii: "Z"), UInt8(ascii: "X")].contains(status[name + 2])
    }

    /// - Returns: whether it came to be so.
    @discardableResult
    private static func await(_ isSo: () -> Bool) -> Bool {
        let until = Clock.monotonic.nanoseconds() + patienceNanoseconds
        while !isSo() {
            guard Clock.monotonic.nanoseconds() < until else { return false }
            sleep(nanoseconds: pauseNanoseconds)
        }
        return true
    }

    mutating func end(_ network: UInt16) {
        guard let running = processes.removeValue(forKey: network) else { return }
        try? Children.signal(running.process, endSignal)
        _ = try? Children.wait(for: running.process, patienceNanoseconds: Self.patienceNanoseconds)
    }

    /// All are told before the first is waited for.
    mutating func endAll() {
        for running in processes.values { try? Children.signal(running.process, SignalNumber.terminate) }
        for number in Array(processes.keys) { end(number) }
    }

    func serves(_ process: Int32) -> Bool { processes.values.contains { $0.process == process } }

    /// What that program was for, and whether it is worth while to start it anew; nil where it was to end.
    mutating func ended(_ process: Int32) -> (number: UInt16, isWorthwhile: Bool)? {
        guard let (number, running) = processes.first(where: { $0.value.process == process }) else { return nil }
        processes.removeValue(forKey: number)
        return (number, Clock.monotonic.nanoseconds() - running.since > Self.leastNanoseconds)
    }
}
