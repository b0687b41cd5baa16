/// One thing that `swiftlet doctor` looked at.
public struct MachineCheck: Equatable, Sendable {
    public enum Verdict: String, Sendable, CaseIterable {
        case good
        /// Something works less well, or not for everything.
        case limited
        /// Guests cannot be run before it is put right.
        case problem
    }

    /// Stable across versions.
    public let name: String
    public let verdict: Verdict
    /// What was found.
    public let finding: String
    /// What it means; nil where the finding says it all.
    public let meaning: String?
    /// What to do; nil when there is nothing to do.
    public let advice: String?

    public init(_ name: String, _ verdict: Verdict, _ finding: String, meaning: String? = nil, advice: String? = nil) {
        self.name = name
        self.verdict = verdict
        self.finding = finding
        self.meaning = meaning
        self.advice = advice
    }
}
