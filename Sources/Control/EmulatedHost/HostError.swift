public import CodedErrors

/// Why the emulated host could not do what it was asked, in words for a person and a code for a program.
public struct HostError: CodedError {
    public enum Code: String, Sendable {
        /// QEMU, the host's kernel or the agent is not installed and could not be.
        case missingPart = "host.missing-part"
        /// The host's folders cannot be used.
        case unusableFolder = "host.unusable-folder"
        /// QEMU did not start, or ended while the host was starting.
        case emulatorEnded = "host.emulator-ended"
        /// The host did not become ready in time.
        case notReady = "host.not-ready"
        /// No emulated host runs.
        case notRunning = "host.not-running"
        /// The host runs, but does not answer.
        case silent = "host.silent"
        /// A port of this computer that was to lead there is somebody else's.
        case portTaken = "host.port-taken"
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
