import AgentClient
import Foundation
import HostFiles
import ImageStore
import LinuxCalls
import Testing

@testable import Fleet

/// Machines without monitors, whose owners are these objects: what has a lock runs.
private final class Stage: UpdateSurroundings {
    let store: MachineStore
    var running: [String: OwnedMachine] = [:]
    var verdict = UpdateVerdict.good
    /// Images with which no machine begins.
    var broken: Set<String> = []
    /// Images that no settings lead to.
    var unfit: Set<String> = []
    /// Where the process that changes the machine is killed.
    var death: UpdateStep?
    var steps: [UpdateStep] = []
    var whileJudging: (MachineRecord) throws -> Void = { _ in }

    /// For which image a machine's settings are.
    var settings = "one"

    init(_ store: MachineStore) { self.store = store }

    func settingsGeneration(_ specification: MachineSpecification) -> UInt64? { 7 }

    func checkSettings(_ record: MachineRecord, for specification: MachineSpecification) throws {
        if unfit.contains(specification.image) { throw FleetError(.invalidSetting, "no step leads there") }
    }

    func adoptSettings(_ specification: MachineSpecification, goingBackTo generation: UInt64?) throws {
        settings = specification.image
        // Of the version that an update has left, and of no other.
        if let generation { #expect(generation == 7 && specification.image == "one") }
    }

    func stop(_ record: MachineRecord) throws {
        try store.markComingBack(record)
        running.removeValue(forKey: record.id)?.finish(exitStatus: 0, failure: nil, isStopped: true)
    }

    func start(_ machine: OwnedMachine) throws {
        #expect(running[machine.record.id] == nil)
        if broken.contains(machine.record.specification.image) {
            machine.finish(exitStatus: nil, failure: "it does not boot")
            throw FleetError(.monitorEnded, "it does not boot")
        }
        try machine.update { ($0.state, $0.startedSeconds) = (.running, 1) }
        running[machine.record.id] = machine
    }

    func judge(_ record: MachineRecord) throws -> UpdateVerdict {
        try whileJudging(record)
        return verdict
    }

    func reached(_ step: UpdateStep) throws {
        steps.append(step)
        if step == death { throw UpdateInterruption() }
    }
}

/// Three images, and machines made of the first.
private final class Scene {
    let folder = NSTemporaryDirectory() + "updates-\(UInt64.random(in: 0...UInt64.max))"
    let fleet: MachineFleet
    let stage: Stage
    private(set) var images: [String: StoredImage] = [:]

    init() throws {
        fleet = MachineFleet(ProductPaths(data: folder + "/data", runtime: folder + "/run", libexec: folder))
        stage = Stage(fleet.store)
        for name in ["one", "two", "three"] {
            let source = "\(folder)/\(name)"
            try FileManager.default.createDirectory(atPath: source, withIntermediateDirectories: true)
            try Data(name.utf8).write(to: URL(fileURLWithPath: source + "/file"))
            var settings = ImportSettings()
            settings.overrides.command = ["/\(name)"]
            settings.overrides.environment = ["VERSION=\(name)", "COLOUR=green"]
            images[name] = try fleet.images.importImage(from: source, as: name, settings: settings)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func machine(isRunning: Bool = true, handedIn: [String] = []) throws -> MachineRecord {
        var overrides = ImageOverrides()
        overrides.environment = ["COLOUR=blue"]
        var specification = MachineSpecification()
        specification.kernelPath = "/dev/null"
        specification.container.restart = try RestartPolicy(parsing: "always")
        specification.container.handedIn = handedIn
        try specification.take(try #require(images["one"]), called: "one", with: overrides)
        let machine = try fleet.create(specification.inBackground, name: nil)
        try fleet.keepImages(of: machine.record)
        try stage.start(machine)
        if !isRunning { stage.running.removeValue(forKey: machine.record.id)?.finish(exitStatus: 3, failure: nil) }
        return try fleet.store.find(machine.record.id)
    }

    func become(_ name: String) -> (MachineSpecification) throws -> MachineSpecification {
        { try self.fleet.specification(of: $0, madeOf: try #require(self.images[name]), called: name) }
    }

    func update(_ record: MachineRecord, to name: String) throws -> UpdateOutcome {
        try MachineUpdate(fleet: fleet, surroundings: stage).run(.update, record, to: become(name))
    }

    func rollback(_ record: MachineRecord) throws -> UpdateOutcome {
        try MachineUpdate(fleet: fleet, surroundings: stage).run(.rollback, record)
    }

    /// Of which image the machine is, on record and, if it runs, in fact.
    func image(_ record: MachineRecord) throws -> String {
        let image = try fleet.store.find(record.id).specification.image
        if let running = stage.running[record.id] { #expect(running.record.specification.image == image) }
        return image
    }

    func versions(_ record: MachineRecord) throws -> MachineVersions { try fleet.store.versions(record) }

    /// Nothing has a name any more; what is left is held.
    func keptImages() throws -> Set<String> {
        _ = try fleet.images.prune(isDryRun: false) { _ in true }
        return Set(images.filter { (try? fleet.images.resolve($0.value.digest)) != nil }.keys)
    }
}

@Suite struct UpdateTests {
    @Test func `a machine that does is kept as what it becomes, and what it was can be gone back to`() throws {
        let scene = try Scene()
        let record = try scene.machine()
        #expect(try scene.update(record, to: "two") == .kept)
        #expect(scene.stage.steps == [.prepared, .switching, .stopped, .adopted, .changed, .started, .judged, .kept])
        let present = try scene.fleet.store.find(record.id).specification
        #expect(present.image == "two" && present.command == ["/two"])
        // What was said stands above the new image's word, too.
        #expect(present.environment == ["VERSION=two", "COLOUR=blue"])
        #expect(try scene.versions(record).previous?.image == "one")
        #expect(try scene.rollback(record) == .kept && scene.image(record) == "one")
        #expect(try scene.rollback(record) == .kept && scene.image(record) == "two")
        #expect(scene.stage.running.count == 1)
    }

    @Test func `one that does not do is what it was, and runs`() throws {
        let scene = try Scene()
        let record = try scene.machine()
        scene.stage.verdict = .bad(reason: "its health check fails")
        #expect(try scene.update(record, to: "two") == .rolledBack(reason: "its health check fails"))
        #expect(try scene.image(record) == "one" && scene.stage.running.count == 1)
        let versions = try scene.versions(record)
        #expect(versions.previous == nil && versions.last?.outcome == .rolledBack)
        #expect(versions.last?.toImage == "two" && versions.last?.reason == "its health check fails")
        scene.stage.broken = ["two"]
        #expect(try scene.update(record, to: "two") == .rolledBack(reason: "it does not boot"))
        #expect(try scene.image(record) == "one" && scene.stage.running.count == 1)
        #expect(try scene.keptImages() == ["one"])
    }

    enum Way: CaseIterable { case good, bad, back }

    /// At each step, in each way, with the machines' owners alive and with everything dead.
    @Test(arguments: Way.allCases, UpdateStep.allCases)
    func `whoever dies at any moment leaves exactly one version, which runs or is brought back`(
        way: Way, step: UpdateStep
    ) throws {
        let scene = try Scene()
        for isPowerLoss in [false, true] {
            let record = try scene.machine()
            scene.stage.settings = "one"
            if way == .back { #expect(try scene.update(record, to: "two") == .kept) }
            let (from, to) = way == .back ? ("two", "one") : ("one", "two")
            scene.stage.verdict = way == .bad ? .bad(reason: "no") : .good
            scene.stage.death = step
            scene.stage.steps = []
            let isDead: Bool
            do {
                _ = way == .back ? try scene.rollback(record) : try scene.update(record, to: to)
                isDead = false
            } catch is UpdateInterruption {
                isDead = true
            }
            scene.stage.death = nil
            scene.stage.verdict = .good
            #expect(isDead == scene.stage.steps.contains(step))
            if isPowerLoss {
                scene.stage.running = [:]
                var versions = try scene.versions(record)
                versions.attempt?.bootIdentifier = "another"
                try versions.write(to: scene.fleet.store.folder(record.id))
            }
            let update = MachineUpdate(fleet: scene.fleet, surroundings: scene.stage)
            let settled = try update.settle(record)
            #expect(try update.settle(record) == nil && scene.versions(record).attempt == nil)
            let isNew: Bool
            if way == .good {
                isNew = !isDead || step == .kept
            } else if way == .bad {
                isNew = false
            } else {
                // Once it had begun it is what was wanted.
                isNew = !isDead || step != .prepared
            }
            #expect(try scene.image(record) == (isNew ? to : from))
            #expect(scene.stage.settings == (isNew ? to : from))
            let present = try scene.fleet.store.find(record.id)
            if isPowerLoss {
                #expect(present.state.isOver && settled?.isBegun != true)
                guard case .begins = scene.fleet.restoration(of: present) else {
                    Issue.record("it does not come back")
                    continue
                }
            } else {
                #expect(present.state == .running && scene.stage.running[record.id] != nil)
            }
            // What it may become again is there.
            let versions = try scene.versions(record)
            #expect(try scene.fleet.images.resolve(present.specification.imageDigest).diskPaths.isEmpty == false)
            if way == .back || isNew { #expect(versions.previous?.image == (isNew ? from : "one")) }
        }
    }

    @Test func `what rollback needs is never cleaned away, and what it does not is`() throws {
        let scene = try Scene()
        let record = try scene.machine()
        _ = try scene.update(record, to: "two")
        _ = try scene.update(record, to: "three")
        #expect(try scene.keptImages() == ["two", "three"])
        #expect(try scene.rollback(record) == .kept && scene.image(record) == "two")
    }

    @Test func `one that is that already is left alone, whatever the image is called`() throws {
        let scene = try Scene()
        let record = try scene.machine()
        try scene.fleet.images.tag("one", as: "uno")
        #expect(try scene.update(record, to: "one") == .unchanged && scene.stage.steps.isEmpty)
        let again = try MachineUpdate(fleet: scene.fleet, surroundings: scene.stage).run(.update, record) {
            try scene.fleet.specification(of: $0, madeOf: try scene.fleet.images.resolve("uno"), called: "uno")
        }
        #expect(again == .unchanged)
    }

    @Test func `one that has ended is changed and not begun, with its end on record`() throws {
        let scene = try Scene()
        let record = try scene.machine(isRunning: false)
        #expect(try scene.update(record, to: "two") == .changed)
        let present = try scene.fleet.store.find(record.id)
        #expect(present.specification.image == "two" && present.exitStatus == 3 && scene.stage.running.isEmpty)
        #expect(try scene.rollback(record) == .changed && scene.image(record) == "one")
    }

    @Test func `two at once do not change one machine, and one that was removed is told`() throws {
        let scene = try Scene()
        let record = try scene.machine()
        scene.stage.whileJudging = { record in
            let error = #expect(throws: FleetError.self) { try scene.rollback(record) }
            #expect(error?.code == .busy)
        }
        #expect(try scene.update(record, to: "two") == .kept)
        scene.stage.whileJudging = { record in
            scene.stage.running[record.id] = nil
            try scene.fleet.store.remove(try scene.fleet.store.find(record.id))
            _ = try scene.fleet.store.find(record.id)
        }
        let gone = #expect(throws: FleetError.self) { try scene.update(record, to: "three") }
        #expect(gone?.code == .unknownMachine && !scene.fleet.store.folder(record.id).exists)
        #expect(throws: FleetError.self) { try scene.update(record, to: "three") }
        #expect(!scene.fleet.store.folder(record.id).exists)
    }

    @Test func `one that somebody stops while it is watched is what it was, and stays stopped`() throws {
        let scene = try Scene()
        let record = try scene.machine()
        scene.stage.verdict = .stopped
        scene.stage.whileJudging = { record in
            scene.stage.running.removeValue(forKey: record.id)?.finish(exitStatus: 0, failure: nil, isStopped: true)
        }
        guard case .rolledBack = try scene.update(record, to: "two") else { throw LinuxError(EINVAL) }
        let present = try scene.fleet.store.find(record.id)
        #expect(present.specification.image == "one" && present.isStopped == true && scene.stage.running.isEmpty)
    }

    @Test func `one that cannot be begun again is what it was all the same, and that is said`() throws {
        let scene = try Scene()
        let record = try scene.machine()
        scene.stage.broken = ["one", "two"]
        let error = #expect(throws: FleetError.self) { try scene.update(record, to: "two") }
        #expect(error?.code == .notBegunAgain)
        #expect(try scene.image(record) == "one" && scene.versions(record).attempt == nil)
    }

    @Test func `what was handed in must be again, before anything is ended`() throws {
        let scene = try Scene()
        let record = try scene.machine(handedIn: ["/run/secrets/key"])
        let error = #expect(throws: FleetError.self) { try scene.update(record, to: "two") }
        #expect(error?.code == .missingFiles && scene.stage.steps.isEmpty)
        #expect(try scene.versions(record).attempt == nil && scene.stage.running.count == 1)
        let key = HandedInFile(path: "/run/secrets/key", permissions: 0o400, contents: [1])
        let update = MachineUpdate(fleet: scene.fleet, surroundings: scene.stage, files: [key])
        #expect(try update.run(.update, record, to: scene.become("two")) == .kept)
    }

    @Test func `one whose settings cannot follow is left alone`() throws {
        let scene = try Scene()
        let record = try scene.machine()
        scene.stage.unfit = ["two"]
        #expect(throws: FleetError.self) { try scene.update(record, to: "two") }
        #expect(scene.stage.steps.isEmpty && scene.stage.running.count == 1)
        #expect(try scene.versions(record).attempt == nil)
    }

    @Test func `there is no way back before the first update, and none on of what an earlier version has made`() throws
    {
        let scene = try Scene()
        let record = try scene.machine()
        let error = #expect(throws: FleetError.self) { try scene.rollback(record) }
        #expect(error?.code == .noPrevious)
        var old = record.specification
        old.overrides = nil
        let unknown = #expect(throws: FleetError.self) {
            try scene.fleet.specification(of: old, madeOf: try #require(scene.images["two"]), called: "two")
        }
        #expect(unknown?.code == .unknownOverrides)
    }

    @Test func `one that is forgotten at its end is not ended for that, nor one in front of somebody`() throws {
        let scene = try Scene()
        for field in [\MachineSpecification.removesItself, \.isDetached] {
            let record = try scene.machine()
            try scene.stage.running[record.id]?.update { $0.specification[keyPath: field].toggle() }
            let error = #expect(throws: FleetError.self) { try scene.update(record, to: "two") }
            #expect(error?.code == .invalidSetting && scene.stage.running[record.id] != nil)
            #expect(scene.stage.steps.isEmpty)
        }
    }

    @Test func `what differs is told in words, without the values of variables`() throws {
        let scene = try Scene()
        let record = try scene.machine()
        let next = try scene.become("two")(record.specification)
        let changes = record.specification.changes(to: next)
        #expect(changes.map(\.what) == ["image", "digest", "program", "variables"])
        #expect(changes.last?.to == "VERSION" && record.specification.changes(to: record.specification).isEmpty)
    }
}

@Suite struct UpdateTrialTests {
    private func verdict(
        _ health: HealthReport? = nil, hasStayed: Bool = false, isOver: Bool = false,
        _ change: (inout MachineRecord) -> Void = { _ in }
    ) throws -> UpdateVerdict? {
        let folder = NSTemporaryDirectory() + "trial-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = MachineStore(ProductPaths(data: folder, runtime: folder + "/run", libexec: folder))
        var specification = MachineSpecification()
        specification.command = ["true"]
        if health != nil { specification.container.healthCheck = HealthCheck(command: ["true"]) }
        let machine = try store.create(specification, name: nil)
        try machine.update {
            $0.state = .running
            change(&$0)
        }
        if let health {
            try machine.folder.appending(HealthReport.fileName).replaceQuickly([UInt8](JSONEncoder().encode(health)))
        }
        return UpdateTrial.verdict(machine.record, store, hasStayed: hasStayed, isOver: isOver, 5)
    }

    private func isBad(_ verdict: UpdateVerdict?) -> Bool { if case .bad = verdict { true } else { false } }

    @Test func `without a check a program does that runs for as long as it must`() throws {
        #expect(try verdict() == nil)
        #expect(try verdict(hasStayed: true) == .good)
        #expect(try isBad(verdict { ($0.state, $0.exitStatus) = (.exited, 0) }))
        #expect(try isBad(verdict { $0.note(RestartNote(seconds: 0, exitStatus: 1, reason: nil)) }))
        #expect(try verdict { ($0.state, $0.isStopped) = (.exited, true) } == .stopped)
    }

    @Test func `with one it must be healthy in time`() throws {
        var health = HealthReport()
        #expect(try verdict(health) == nil)
        #expect(try isBad(verdict(health, isOver: true)))
        health.checks = [.init(started: "", durationSeconds: 0, exitStatus: 1, output: "first\nno database\n")]
        health.state = .unhealthy
        #expect(
            try verdict(health) == .bad(reason: "its health check fails; the last said: no database"))
        health.state = .healthy
        #expect(try verdict(health, hasStayed: true) == .good)
        #expect(try verdict(health) == nil)
        #expect(try isBad(verdict(health) { $0.note(RestartNote(seconds: 0, exitStatus: 1, reason: nil)) }))
    }

    @Test func `it is given the time that its checks may take, unless another is said`() {
        var check = HealthCheck(command: ["true"])
        var trial = UpdateTrial()
        #expect(trial.limitSeconds(check) == 180)
        check.intervalSeconds = 1
        check.timeoutSeconds = 1
        #expect(trial.limitSeconds(check) == 60)
        check.startPeriodSeconds = 100
        #expect(trial.limitSeconds(check) == 106)
        trial.healthSeconds = 3
        #expect(trial.limitSeconds(check) == 3)
    }
}
