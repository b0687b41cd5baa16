import ArgumentParser
import EmulatedHost
import Fleet

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Tell what this computer can do, and what to do about the rest.",
        discussion: """
            The exit status is 1 when something keeps machines from running.

            Examples:
              swiftlet doctor
              swiftlet doctor --json
            """)
    @OptionGroup var format: FormatOptions

    func run() throws {
        let paths = Product.paths
        let checks =
            try Doctor(Launchers.hostSettings(paths), parts: [paths.monitor, paths.agent]).checks() + Self.storeChecks()
        if format.isJSON {
            Output.json(checks.map(CheckDocument.init))
        } else {
            for check in checks {
                let mark =
                    switch check.verdict {
                    case .good: "ok     "
                    case .limited: "limited"
                    case .problem: "problem"
                    }
                Output.line("\(mark)  \(check.name): \(check.finding)")
                if let meaning = check.meaning { Output.line("           \(meaning)") }
                if let advice = check.advice { Output.line("           to do: \(advice)") }
            }
        }
        if checks.contains(where: { $0.verdict == .problem }) { throw ExitStatusError(status: 1) }
    }

    /// What every machine is made of.
    private static func storeChecks() -> [MachineCheck] {
        let kernel: MachineCheck
        do {
            let chosen = try KernelCommand.store.resolve()
            kernel = MachineCheck("kernel", .good, "machines get the kernel \(chosen.name) \(chosen.version)")
        } catch {
            kernel = MachineCheck(
                "kernel", .problem, "\(CommandFailure(error).message)", meaning: "no guest can be started",
                advice: "swiftlet kernel install")
        }
        let image: MachineCheck
        do {
            let names = try ImageCommand.store.list().flatMap(\.names)
            image =
                names.isEmpty
                ? MachineCheck(
                    "images", .problem, "there is no image in \(ImageCommand.store.root)",
                    meaning: "there is nothing to run",
                    advice: "swiftlet image import NAME SOURCE, or let SWIFTLET_HOME name the folder where yours are")
                : MachineCheck("images", .good, "\(names.count) image\(names.count == 1 ? "" : "s")")
        } catch {
            image = MachineCheck("images", .problem, CommandFailure(error).message)
        }
        return [kernel, image]
    }
}

/// A check, for programs: names that stay.
struct CheckDocument: Encodable {
    var name: String
    var verdict: String
    var finding: String
    var meaning: String?
    var advice: String?

    init(_ check: MachineCheck) {
        name = check.name
        verdict = check.verdict.rawValue
        finding = check.finding
        meaning = check.meaning
        advice = check.advice
    }
}
