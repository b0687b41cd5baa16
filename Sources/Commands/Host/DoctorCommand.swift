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
        let checks = try Doctor(Launchers.hostSettings(paths), parts: [paths.monitor, paths.agent]).checks()
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
