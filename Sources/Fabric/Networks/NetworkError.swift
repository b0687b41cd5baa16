public import CodedErrors
import HostFiles

/// Why a network could not be made, found, used or removed.
public struct NetworkError: CodedError {
    public enum Code: String, Sendable {
        case unknown = "network.unknown"
        case duplicateName = "network.duplicate-name"
        case invalidSetting = "network.invalid-setting"
        /// Somebody else has the addresses.
        case overlap = "network.overlap"
        /// Machines are in it, or networks are to reach it.
        case inUse = "network.in-use"
        /// It is another tenant's.
        case otherTenant = "network.other-tenant"
        /// No address, number or prefix is left.
        case exhausted = "network.exhausted"
        /// What is written down about it cannot be read.
        case damaged = "network.damaged"
        case unusableFolder = "network.unusable-folder"
        case diskFull = "network.disk-full"
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    init(_ error: HostFileError) {
        self.init(
            error.isDiskFull ? .diskFull : .unusableFolder,
            error.isDiskFull ? "\(error); make room and try again" : "\(error)")
    }
}

/// Translates what the file system said.
func networkFiles<Result: ~Copyable>(_ body: () throws(HostFileError) -> Result) throws(NetworkError) -> Result {
    do throws(HostFileError) { return try body() } catch { throw NetworkError(error) }
}
