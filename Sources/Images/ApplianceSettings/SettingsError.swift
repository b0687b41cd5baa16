public import CodedErrors

/// Why settings could not be read, checked or kept.
public struct SettingsError: CodedError {
    public enum Code: String, Sendable {
        /// No settings have that name.
        case unknown = "settings.unknown"
        /// There are settings of that name.
        case exists = "settings.exists"
        /// A name that settings cannot have.
        case invalidName = "settings.invalid-name"
        /// A field is missing, unknown, or not as the schema wants it. Nothing was changed.
        case refused = "settings.refused"
        /// A text that is no settings document at all.
        case invalidText = "settings.invalid-text"
        /// A schema that cannot be used.
        case invalidSchema = "settings.invalid-schema"
        /// Settings of one schema cannot become settings of the other.
        case cannotMigrate = "settings.cannot-migrate"
        /// Somebody else changed them meanwhile.
        case conflict = "settings.conflict"
        /// The last change counts only until its time is over, and nothing can be built on it.
        case unconfirmed = "settings.unconfirmed"
        /// No generation has that number, or none is left to go back to.
        case unknownGeneration = "settings.unknown-generation"
        /// The floppy is damaged, or is none.
        case damagedFloppy = "settings.damaged-floppy"
        /// The host's files cannot be read or written.
        case unusableStore = "settings.unusable-store"
        /// The host's disk is full.
        case diskFull = "settings.disk-full"
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Every problem on a line of its own.
    init(refusing what: String, _ problems: [FieldProblem]) {
        let lines = problems.prefix(20).map { "\($0.path.isEmpty ? "the document" : "\($0.path)"): \($0.reason)" }
        let more = problems.count > lines.count ? ["and \(problems.count - lines.count) more"] : []
        self.init(
            .refused,
            lines.count == 1 && more.isEmpty
                ? "\(what) not accepted: \(lines[0])"
                : "\(what) not accepted:\n  " + (lines + more).joined(separator: "\n  "))
    }
}

/// What is wrong with which field.
public struct FieldProblem: Equatable, Sendable {
    public let path: FieldPath
    public let reason: String

    init(_ path: FieldPath, _ reason: String) {
        self.path = path
        self.reason = reason
    }
}
