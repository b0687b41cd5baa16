import AgentClient
import ArgumentParser
import Fleet
import GuestKernels
import ImageStore
import Registry

struct UpdateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Give machines another image; go back by itself where that does not do.",
        discussion: """
            The new image is fetched and verified beside the old one. Then the machine is ended, begun anew with the new image, and
            watched: until its health check has succeeded, or, without one, for ten seconds in which its program must run. What
            does not do is ended again, and the machine is what it was, with exit status 1. Volumes stay, and so does what was
            said beside the image when the machine was made. Without an image, the one that its own image's name means now is
            taken. --base gives every machine that is made of an image what its name, or another, means now: it shows the
            plan, asks, and does one machine after the other.

            Examples:
              swiftlet update web ghcr.io/acme/web:1.5
              swiftlet update --health-timeout 2m --dry-run web ghcr.io/acme/web:1.5
              swiftlet pull ghcr.io/acme/base && swiftlet update --base ghcr.io/acme/base
              swiftlet update --base debian:12=debian:13 --yes --keep-going
            """)

    @Option(
        help: ArgumentHelp(
            "Every machine that is made of this image, by its name or digest.", valueName: "old[=new]"),
        completion: Completions.images)
    var base: String?
    @Flag(name: [.short, .long], help: "With --base: do not ask.") var yes = false
    @Flag(help: "With --base: go on with the others after one that was rolled back.") var keepGoing = false
    @Flag(name: [.customShort("n"), .long], help: "Only say what would be done.") var dryRun = false
    @Option(
        help: ArgumentHelp(
            "Until when the machine must be healthy; for as long as its checks may take if not given.",
            valueName: "time"))
    var healthTimeout: String?
    @Option(help: ArgumentHelp("How long its program must run, too: 10s where there is no check.", valueName: "time"))
    var aliveFor: String?
    @Option(name: [.short, .long], help: ArgumentHelp("Another size of memory.", valueName: "size")) var memory: String?
    @OptionGroup var growth: GrowthOptions
    @Option(
        help: ArgumentHelp("Another kernel, as `kernel list` names it.", valueName: "kernel"),
        completion: Completions.kernels)
    var kernel: String?
    @Option(
        help: ArgumentHelp(
            "When to ask a registry: always (if not given, for a name that begins with one), missing, never.",
            valueName: "when"))
    var pull: PullPolicy?
    @OptionGroup(title: "Registry options") var registry: RegistryOptions
    @OptionGroup(title: "What was handed in must be again") var handedIn: HandedInOptions
    @Argument(help: "A name or id of a machine.", completion: Completions.machines) var machine: String?
    @Argument(help: ArgumentHelp("An image.", valueName: "image"), completion: Completions.images) var image: String?
    @OptionGroup var format: FormatOptions

    func validate() throws {
        guard (base == nil) != (machine == nil) else {
            throw ValidationError("give either a machine, or --base with an image")
        }
        guard base != nil || !keepGoing else { throw ValidationError("--keep-going is for --base") }
    }

    func run() throws {
        // Before any thread is started.
        let signals = try SignalWatcher()
        var session = UpdateSession(isJSON: format.isJSON, signals: signals, files: try handedIn.files())
        if let healthTimeout { session.trial.healthSeconds = try Units.time(healthTimeout, "--health-timeout") }
        if let aliveFor { session.trial.aliveSeconds = try Units.time(aliveFor, "--alive-for") }
        if let base { return try run(onBase: base, session) }
        let record = try Product.fleet.store.find(machine ?? "")
        // Before anything is fetched, and compared block by block.
        try Product.fleet.checkHandedIn(record.specification, handingIn: session.files, of: record)
        let name = image ?? record.specification.image
        let next = try change(to: try fetch(name, .always), called: name)
        let wanted = try next(record.specification)
        let document = UpdateDocument(record, to: wanted)
        if dryRun {
            try Product.fleet.checkSettings(of: record, for: wanted)
            return show([document])
        }
        try session.run(.update, record, document, next)
    }

    /// What a machine is to become, of what it is.
    private func change(to image: StoredImage, called name: String) throws -> UpdateSession.Change {
        let mebibytes = try memory.map { text in
            guard let mebibytes = Units.mebibytes(text) else {
                throw CommandFailure("usage.memory", "\"\(text)\" is no size; write it as 512M or 2G")
            }
            return mebibytes
        }
        let kernel = try kernel.map { try KernelStore(root: Product.paths.kernels).resolve($0) }
        let least = (try? ImageCommand.store.appliance(image))?.description.leastMemoryMebibytes ?? 0
        return { present throws(FleetError) in
            var next = try Product.fleet.specification(of: present, madeOf: image, called: name)
            if let mebibytes {
                guard mebibytes >= least else {
                    throw FleetError(
                        .invalidSetting,
                        "\(name) needs \(least) MiB of memory at least, and not \(mebibytes) (--memory)")
                }
                next.memoryMebibytes = mebibytes
            }
            do throws(CommandFailure) { try growth.change(&next) } catch {
                throw FleetError(.invalidSetting, error.message)
            }
            if let kernel { next.take(kernel) }
            return next
        }
    }

    /// An image beside the one that is in use, whole.
    /// - Parameter usual: when to ask a registry that the name begins with, if nothing is said of that.
    private func fetch(_ name: String, _ usual: PullPolicy) throws -> StoredImage {
        let policy = pull ?? (ImageReference.namesRegistry(name) ? usual : .missing)
        let stored = try ImageCommand.resolve(name, pulling: policy, registry)
        guard try ImageCommand.store.verify(stored).isEmpty else {
            throw CommandFailure(
                "image.damaged",
                "the disk of the image \"\(name)\" is damaged, so nothing was updated; pull, load or import it again")
        }
        return stored
    }

    private func show(_ documents: [UpdateDocument]) {
        if format.isJSON { return Output.json(documents) }
        for line in documents.flatMap(\.lines) { Output.line(Table.printable(line)) }
    }

    // MARK: - Every machine of an image

    private func run(onBase text: String, _ session: UpdateSession) throws {
        let halves = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let (old, new) = (halves[0], halves.count > 1 ? halves[1] : halves[0])
        let store = Product.fleet.store
        try store.checkReadable()
        let base = BaseImage(old)
        let standing = store.list().reversed().filter { base.isUnder($0.specification) }
        guard !standing.isEmpty else {
            throw CommandFailure(
                "update.no-machine", "no machine is made of the image \"\(old)\"; `swiftlet ps --all` shows them")
        }
        let next = try change(to: try fetch(new, .missing), called: new)
        let planned = standing.compactMap { record -> UpdateSession.Planned? in
            do throws(FleetError) {
                if let hindrance = Product.fleet.hindrance(to: record) { throw hindrance }
                let specification = try next(record.specification)
                if record.specification.isSame(as: specification) { return nil }
                return (record, UpdateDocument(record, to: specification))
            } catch {
                return (record, UpdateDocument(skipping: record, because: error.message))
            }
        }
        if planned.isEmpty, !format.isJSON {
            return Output.line("every machine that is made of \(old) is up to date")
        }
        if dryRun || planned.isEmpty { return show(planned.map(\.document)) }
        if !yes { try confirm(planned) }
        try session.run(planned, next, keepGoing: keepGoing)
    }

    private func confirm(_ planned: [UpdateSession.Planned]) throws {
        guard Terminal.isTerminal(0), !format.isJSON else {
            throw CommandFailure(
                "update.declined", "nothing was updated; --yes does it, --dry-run shows what would be done")
        }
        show(planned.map(\.document))
        Output.prompt("update \(planned.count == 1 ? "this machine" : "these \(planned.count) machines")? [y/N] ")
        guard ["y", "yes"].contains((readLine() ?? "").lowercased()) else {
            throw CommandFailure("update.declined", "nothing was updated")
        }
    }
}

/// An image by what a machine may have been made of it: the name that was given then, another form of it, or a digest.
struct BaseImage {
    private let text: String

    init(_ text: String) { self.text = text }

    func isUnder(_ specification: MachineSpecification) -> Bool {
        if specification.image == text || specification.imageDigest == text { return true }
        if let mine = try? ImageReference(text), let other = try? ImageReference(specification.image), mine == other {
            return true
        }
        let digits = text.hasPrefix("sha256:") ? text.dropFirst(7) : text[...]
        let isHexadecimal = digits.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        return isHexadecimal && digits.utf8.count >= 4 && specification.imageDigest.dropFirst(7).hasPrefix(digits)
    }
}
