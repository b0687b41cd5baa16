public import CodedErrors
import HostFiles

/// Why a volume could not be made, found, used or removed.
public struct VolumeError: CodedError {
    public enum Code: String, Sendable {
        case unknown = "volume.unknown"
        case duplicateName = "volume.duplicate-name"
        case invalidSetting = "volume.invalid-setting"
        /// A machine has it.
        case inUse = "volume.in-use"
        /// What lies on it, or what is written down about it, is not whole.
        case damaged = "volume.damaged"
        /// A part of the computer that makes or checks file systems is missing, or did not do it.
        case tool = "volume.tool"
        case unusableFolder = "volume.unusable-folder"
        case diskFull = "volume.disk-full"
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
func volumeFiles<Result: ~Copyable>(_ body: () throws(HostFileError) -> Result) throws(VolumeError) -> Result {
    do throws(HostFileError) { return try body() } catch { throw VolumeError(error) }
}
