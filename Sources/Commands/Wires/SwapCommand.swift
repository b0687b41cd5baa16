import ArgumentParser
import Fleet

struct SwapCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swap", abstract: "Put an appliance into the place of another, in one step.",
        discussion: """
            What is under way in the old one arrives; it goes on running, in no wire. The new one is waited for until it is
            ready; when it is not in time, nothing is changed.

            With --shadow the new one first gets a copy of all that the old one gets, for ten seconds or the time that is given. What
            it lets through goes nowhere, and is compared with what the old one lets through. Only when they agree on
            every frame, and there was one, it takes the old one's place; --force has it do so nevertheless.

            Examples:
              swiftlet swap ips ips-2
              swiftlet swap ips ips-2 --shadow=1m
            """)

    private static let usualTime = "10s"
    private static let longestSeconds = 86_400.0

    @Option(
        defaultAsFlag: usualTime, parsing: .next,
        help: ArgumentHelp("Try the new one beside the old one first, on a copy of the traffic.", valueName: "time"))
    var shadow: String?
    @Flag(name: [.short, .long], help: "Also when the two did not agree, or nothing went by.") var force = false
    @OptionGroup var readiness: ReadinessOptions
    @Argument(help: "The appliance that is in a wire.", completion: Completions.inWires) var old: String
    @Argument(help: "The appliance that comes there.", completion: Completions.runningMachines) var new: String
    @OptionGroup var format: FormatOptions

    func validate() throws {
        guard shadow != nil || !force else { throw ValidationError("--force belongs to --shadow") }
    }

    func run() throws {
        let patience = try readiness.patience()
        guard let shadow else { return try Product.fleet.swap(old, for: new, patience) }
        let seconds = try Units.time(shadow, "--shadow")
        guard seconds > 0, seconds <= Self.longestSeconds else {
            throw CommandFailure("usage.time", "--shadow takes up to a day, not \(shadow)")
        }
        try Product.fleet.checkSwap(old, for: new)
        if !format.isJSON {
            Output.error("\(new) gets a copy of what \(old) gets, for \(shadow)")
        }
        let report = try Product.fleet.shadow(old, by: new, seconds: seconds, patience)
        format.isJSON ? Output.json(report) : Output.line(report.words(old, new))
        guard report.isAgreed || force else {
            throw CommandFailure(
                "network.shadow-differs",
                report.outward + report.inward == 0
                    ? "nothing went by in \(shadow), so nothing can be said of \"\(new)\"; nothing was switched (a longer time: --shadow=TIME; nevertheless: --force)"
                    : report.differing == 0
                        ? "\(report.unseen) frames were more than could be looked at; nothing was switched (a shorter time: --shadow=TIME; nevertheless: --force)"
                        : "\"\(old)\" and \"\(new)\" do not agree; nothing was switched (to do so nevertheless: --force)"
            )
        }
        try Product.fleet.swap(old, for: new, patience)
    }
}

extension ShadowReport {
    /// For people.
    func words(_ old: String, _ new: String) -> String {
        var lines = [
            "\(outward) frames outward, \(inward) inward; both let \(passed) through, changed \(changed) and held back \(held)"
        ]
        if unseen > 0 { lines.append("\(unseen) more than could be looked at") }
        if differing > 0 {
            lines.append("\(differing) on which they do not agree:")
            var table = Table("FRAMES", "COUNT", "WAY", old.uppercased(), new.uppercased())
            for difference in differences {
                table.add(
                    difference.frames, "\(difference.count)", difference.isOutward ? "outward" : "inward",
                    difference.present.rawValue, difference.shadow.rawValue)
            }
            lines.append(table.text)
        }
        return lines.joined(separator: "\n")
    }
}
