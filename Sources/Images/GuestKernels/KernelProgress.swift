/// How far an installation or a build has come.
public struct KernelProgress: Equatable, Sendable {
    public enum Phase: String, Sendable {
        /// Getting the package from the distribution.
        case fetching
        /// Taking the package, the kernel or the modules apart.
        case unpacking
        /// Merging and checking the configuration.
        case configuring
        /// Compiling; by far the longest, minutes.
        case compiling
        /// Hashing and putting it in place.
        case finishing
    }

    public let phase: Phase
    /// Which package, or which file is being compiled.
    public let detail: String
    /// Steps done in this phase; files compiled, while compiling.
    public let stepsDone: Int
    /// Nil when nobody can know. While compiling it is an estimate, never below `stepsDone`.
    public let stepsTotal: Int?

    init(_ phase: Phase, _ detail: String = "", stepsDone: Int = 0, stepsTotal: Int? = nil) {
        self.phase = phase
        self.detail = detail
        self.stepsDone = stepsDone
        self.stepsTotal = stepsTotal
    }
}
