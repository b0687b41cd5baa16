public import CodedErrors

/// Why a machine could not be made, found or ended, in words for a person and a code for a program.
public struct FleetError: CodedError {
    public enum Code: String, Sendable {
        case unknownMachine = "machine.unknown"
        /// What is written down about a machine cannot be read.
        case damagedRecord = "machine.damaged-record"
        case ambiguousReference = "machine.ambiguous"
        case duplicateName = "machine.duplicate-name"
        case invalidName = "machine.invalid-name"
        /// The operation wants a machine that runs.
        case notRunning = "machine.not-running"
        /// The machine stands still, and what is asked for needs one that runs.
        case paused = "machine.paused"
        /// The machine's monitor refused, or did not answer.
        case notControlled = "machine.not-controlled"
        /// The operation wants a machine that does not run.
        case stillRunning = "machine.still-running"
        /// A value of a machine's description that cannot be used.
        case invalidSetting = "machine.invalid-setting"
        /// A disk that is not there or may not be opened.
        case unusableDisk = "machine.unusable-disk"
        /// A disk is not what a machine that goes on from its memory takes it for.
        case diskChanged = "machine.disk-changed"
        case unusableNetwork = "machine.unusable-network"
        /// An appliance needs a network interface that the machine does not have.
        case missingInterface = "appliance.missing-interface"
        /// The image has no program and none was given.
        case noCommand = "machine.no-command"
        /// A part of the product is not where it should be.
        case missingPart = "machine.missing-part"
        /// The monitor did not start, or ended before the guest answered.
        case monitorEnded = "machine.monitor-ended"
        /// The guest's kernel gave up while the program ran.
        case kernelPanicked = "machine.kernel-panicked"
        /// The guest's agent never came.
        case agentSilent = "machine.agent-silent"
        /// The command line was asked to end before the program ran.
        case interrupted = "machine.interrupted"
        /// A folder of the product's own cannot be used.
        case unusableFolder = "machine.unusable-folder"
        case diskFull = "machine.disk-full"
        /// Files that were handed in must be again.
        case missingFiles = "machine.missing-files"
        /// The guest could not read its settings, or its command refused them.
        case settingsNotApplied = "machine.settings-not-applied"
        /// The machine's program may not have settings kept by itself.
        case commitRefused = "settings.commit-refused"
        /// Somebody else changes the machine.
        case busy = "machine.busy"
        /// Limits of processor time need a control group, and none can be made.
        case noControlGroup = "limits.no-control-group"
        /// There is nothing to go back to.
        case noPrevious = "machine.no-previous"
        /// It is what it was, but does not run.
        case notBegunAgain = "machine.not-begun-again"
        /// What was said beside its image is not on record.
        case unknownOverrides = "machine.unknown-overrides"
    }

    public let code: Code
    public let message: String
    /// What interrupted, where something did.
    public let signal: Int32?

    public init(_ code: Code, _ message: String, signal: Int32? = nil) {
        self.code = code
        self.message = message
        self.signal = signal
    }

    public init(endedBy signal: Int32) {
        self.init(.interrupted, "ended by signal \(signal) before the program started", signal: signal)
    }
}
