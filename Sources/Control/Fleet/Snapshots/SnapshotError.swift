public import CodedErrors
import HostFiles

/// Why a snapshot could not be made, found or removed.
public struct SnapshotError: CodedError {
    public enum Code: String, Sendable {
        case unknown = "snapshot.unknown"
        case ambiguous = "snapshot.ambiguous"
        case duplicateName = "snapshot.duplicate-name"
        case invalidName = "snapshot.invalid-name"
        /// Something of the machine lies outside of it, and would not be what it was.
        case unsuitableMachine = "snapshot.unsuitable-machine"
        /// What is written down about it cannot be read, or a file is missing.
        case damaged = "snapshot.damaged"
        case unusableFolder = "snapshot.unusable-folder"
        case diskFull = "snapshot.disk-full"
        /// What is to be imported is no snapshot, was cut off or changed, or says what cannot be.
        case invalidFile = "snapshot.invalid-file"
        case newerVersion = "snapshot.newer-version"
        /// It is of another kind of processor.
        case otherProcessor = "snapshot.other-processor"
        /// The monitor of this computer would not take it: the processor lacks something, or it is damaged.
        case refused = "snapshot.refused"
        /// Its machine is of an image that is not here.
        case missingImage = "snapshot.missing-image"
        /// Its machine has network interfaces, and nobody has said to what they are connected here; or too many.
        case withoutNetwork = "snapshot.without-network"
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
func snapshotFiles<Result: ~Copyable>(_ body: () throws(HostFileError) -> Result) throws(SnapshotError) -> Result {
    do throws(HostFileError) { return try body() } catch { throw SnapshotError(error) }
}
