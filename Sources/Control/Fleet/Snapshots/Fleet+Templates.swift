public import AgentClient
import Archives
import FoundationEssentials
import HostFiles
import ImageStore
import LinuxCalls
import Synchronization

/// When a machine that starts warm is written down for the first time.
public enum WarmMoment: String, CaseIterable, Sendable {
    /// It has booted, and its program has not been started: for any program.
    case booted
    /// Its program's health check has succeeded: for that program.
    case healthy
}

/// Warm templates: snapshots of machines that have booted, or whose program is ready, of which every further machine of the same
/// kind is a clone.
extension MachineFleet {
    private static let namePrefix = "warm-"

    /// The template for machines like that one, made first where there is none.
    ///
    /// Everything of the specification but its program and what an identity sets anew is in the template's name; so are the
    /// agent and the kernel. A change of any of them makes another template.
    /// - Parameter report: told what is being done when it takes long: a line for a person.
    public func template(
        for specification: MachineSpecification, when moment: WarmMoment, signals: SignalWatcher?,
        report: (String) -> Void
    ) throws -> SnapshotRecord {
        try Self.checkWarm(specification)
        if moment == .healthy { try Self.checkWarmProgram(specification) }
        let common = moment == .booted ? specification.withoutProgram : specification.withoutIdentity
        let name = try templateName(common)
        if let found = standingTemplate(name) { return found }
        removeStaleTemplates()
        report("making a template of \(specification.image) for machines that start warm; this is done once")
        do {
            switch moment {
            case .booted: return try makeTemplate(common, name, signals)
            case .healthy: return try makeHealthyTemplate(common, name, signals)
            }
        } catch let error as SnapshotError where error.code == .duplicateName {
            // Another command was quicker; or somebody has given another snapshot this name.
            guard let found = standingTemplate(name) else { throw error }
            return found
        }
    }

    private func standingTemplate(_ name: String) -> SnapshotRecord? {
        SnapshotStore(store.paths).list().first { $0.name == name && $0.isForWarmStarts }
    }

    /// Writes a machine down that goes on from a template, with a program of its own.
    public func makeWarm(
        _ specification: MachineSpecification, from template: SnapshotRecord, name: String?
    ) throws -> OwnedMachine {
        var specification = specification
        specification.origin = SnapshotOrigin(
            id: template.id, name: template.name, runsProgram: template.runsProgram, disks: [])
        let machine = try create(specification, name: name)
        do {
            try SnapshotStore.hand(template, in: SnapshotStore(store.paths).folder(template.id), to: machine.folder)
        } catch {
            store.removeFolder(machine.record)
            throw error
        }
        return machine
    }

    private static func checkWarm(_ specification: MachineSpecification) throws(FleetError) {
        let container = specification.container
        let what: String
        if !container.folders.isEmpty {
            what = "shared folders, whose open files are this computer's"
        } else if container.volumes.contains(where: { !$0.isReadOnly }) {
            what = "volumes that it writes to, which are one machine's alone"
        } else if specification.disks.contains(where: { !$0.isReadOnly }) {
            what = "disks that it writes to, which are one machine's alone"
        } else if specification.settingsFloppyPath != nil {
            what = "settings, which it reads as it boots"
        } else if specification.interfaces.contains(where: { !$0.network.isOwn && $0.network != .none }) {
            what = "a TAP device that is one machine's alone"
        } else {
            return
        }
        throw FleetError(
            .invalidSetting, "a machine does not start warm with \(what); leave that out, or --warm")
    }

    /// What a program that already runs in the template cannot be given any more.
    private static func checkWarmProgram(_ specification: MachineSpecification) throws(FleetError) {
        let what: String
        if specification.container.healthCheck == nil {
            what = "a health check tells when its program is ready, and it has none; give one: --health-cmd COMMAND"
        } else if specification.isInteractive || specification.hasTerminal {
            what = "its program runs already, and gets neither a terminal nor input; leave out --tty and --interactive"
        } else if !specification.container.handedIn.isEmpty {
            what = "what is handed in would be in the memory of all further ones; leave out --secret and --file"
        } else {
            return
        }
        throw FleetError(.invalidSetting, "a machine does not start warm when healthy: \(what)")
    }

    private func templateName(_ booted: MachineSpecification) throws(FleetError) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let described = try? encoder.encode(booted) else {
            throw FleetError(.invalidSetting, "the machine cannot be described as JSON")
        }
        let digest = SHA256.digest(of: [UInt8](described) + Array(try AgentArchive.prepare(store.paths).utf8))
        let digits = digest.bytes.prefix(6).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let image = booted.image.split(separator: "/").last?.split(separator: ":").first ?? "image"
        let plain = image.filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }.prefix(40)
        return "\(Self.namePrefix)\(plain)-\(digits)"
    }

    private func makeTemplate(
        _ booted: MachineSpecification, _ name: String, _ signals: SignalWatcher?
    ) throws -> SnapshotRecord {
        let machine = try create(booted, name: nil)
        let owner = try owner(of: machine, signals: signals, output: CollectedOutput(mostBytes: 1), report: { _ in })
        var made: SnapshotRecord?
        owner.whenBooted = { [store] agent in
            made = try MachineRemote(machine.record, store: store).makeTemplate(name, over: agent)
        }
        _ = try owner.run()
        guard let made else {
            throw FleetError(.monitorEnded, "the template's machine ended before it was written down")
        }
        return made
    }

    /// Runs the program until its health check has succeeded.
    private func makeHealthyTemplate(
        _ common: MachineSpecification, _ name: String, _ signals: SignalWatcher?
    ) throws -> SnapshotRecord {
        let machine = try create(common, name: nil)
        let output = CollectedOutput(mostBytes: 4096)
        let owner = try owner(of: machine, signals: signals, output: output, report: { _ in })
        owner.endsBySignal = true
        let made = SharedResult()
        let (store, folder) = (store, machine.folder)
        owner.whenHealthy = {
            made.value = Result {
                guard let record = MachineRecord.read(from: folder) else {
                    throw FleetError(.damagedRecord, "the record of the template's machine cannot be read")
                }
                return try MachineRemote(record, store: store).makeSnapshot(name, isForWarmStarts: true)
            }
            SignalWatcher.tellOwnProcess(SignalWatcher.endNow)
        }
        let end = Result { try owner.run() }
        if let made = made.value { return try made.get() }
        let outcome = try end.get()
        if let signal = outcome.endingSignal { throw FleetError(endedBy: signal) }
        let said = String(decoding: output.bytes(of: .standardError).suffix(400), as: UTF8.self)
        throw FleetError(
            .monitorEnded,
            "the program ended before its health check succeeded (\(outcome.note ?? "exit status \(outcome.exitStatus)")), so nothing can start warm from it"
                + (said.isEmpty ? "" : "; it said last:\n\(said)"))
    }

    private final class SharedResult: Sendable {
        private let result = Mutex<Result<SnapshotRecord, any Error>?>(nil)
        var value: Result<SnapshotRecord, any Error>? {
            get { result.withLock { $0 } }
            set { result.withLock { $0 = newValue } }
        }
    }

    /// Of images that have gone, or kernels: nothing will be made of them.
    public func removeStaleTemplates() {
        let snapshots = SnapshotStore(store.paths)
        guard let present = try? images.list().map(\.digest) else { return }
        for template in snapshots.list() where template.name.hasPrefix(Self.namePrefix) && template.isForWarmStarts {
            let specification = template.specification
            let isUsable =
                present.contains(specification.imageDigest) && HostPath(specification.kernelPath).exists
                && specification.imageDiskPaths.allSatisfy { HostPath($0).exists }
            if !isUsable { try? snapshots.remove(template.id) }
        }
    }
}

extension MachineSpecification {
    /// How long a program that is to be ready once for all may take, while it is asked again and again.
    private static let readySeconds = 300.0

    /// What all machines are that run the same program in the same surroundings, before they are told which one each is.
    var withoutIdentity: MachineSpecification {
        var result = self
        (result.hostName, result.timeLimitSeconds, result.overrides) = (nil, nil, nil)
        (result.showsConsole, result.isDetached, result.removesItself) = (false, false, true)
        result.limits = MachineLimits()
        result.published = []
        for place in result.interfaces.indices { result.interfaces[place].forgetIdentity() }
        result.container.restart = RestartPolicy()
        result.container.whenUnhealthy = .stop
        (result.container.labels, result.container.exposedPorts) = ([:], [])
        result.container.hostEntries = []
        (result.container.nameServers, result.container.searchDomains) = ([], [])
        if let check = result.container.healthCheck {
            result.container.healthCheck?.startPeriodSeconds = max(check.startPeriodSeconds, Self.readySeconds)
        }
        return result
    }

    /// What a machine is before its program is started, and before it is told which one it is.
    var withoutProgram: MachineSpecification {
        var result = self
        // Every machine has one; this one's is never started.
        result.command = ["-"]
        result.environment = []
        (result.user, result.workingDirectory) = ("", "")
        (result.hostName, result.timeLimitSeconds, result.overrides) = (nil, nil, nil)
        (result.hasTerminal, result.isInteractive, result.showsConsole) = (false, false, false)
        (result.isDetached, result.removesItself) = (false, true)
        result.limits = MachineLimits()
        (result.published, result.egress) = ([], nil)
        for place in result.interfaces.indices { result.interfaces[place].forgetIdentity() }
        let own = container
        var kept = ContainerSettings()
        (kept.volumes, kept.temporaryFolders) = (own.volumes, own.temporaryFolders)
        (kept.sharedMemoryBytes, kept.isReadOnly) = (own.sharedMemoryBytes, own.isReadOnly)
        result.container = kept
        return result
    }
}
