public import CodedErrors

/// Why a guest kernel could not be had, in words for a person and a code for a program.
public struct KernelError: CodedError {
    public enum Code: String, Sendable {
        /// No kernel has that name, version or digest, or there is none at all.
        case unknownKernel = "kernel.unknown"
        /// More than one kernel's digest begins so.
        case ambiguousReference = "kernel.ambiguous"
        /// A name that cannot be used.
        case invalidName = "kernel.invalid-name"
        /// A program that the work needs is not installed.
        case missingTool = "kernel.missing-tool"
        /// The distribution does not offer the package, or it could not be fetched.
        case unavailablePackage = "kernel.unavailable-package"
        /// A file that is not the kernel, package or module that it should be.
        case invalidKernel = "kernel.invalid"
        /// A configuration symbol is unknown to the source, or did not get the value asked for.
        case invalidConfiguration = "kernel.invalid-configuration"
        /// A step of the build ended with an error.
        case buildFailed = "kernel.build-failed"
        /// The host's disk is full.
        case diskFull = "kernel.disk-full"
        /// The store's own folder cannot be used, or what is in it is damaged.
        case damagedStore = "kernel.damaged-store"
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
