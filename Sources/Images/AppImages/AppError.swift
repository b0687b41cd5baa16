public import CodedErrors

/// Why no image can be made of a program.
public struct AppError: CodedError {
    public enum Code: String, Sendable {
        /// It is no program that this computer's processor and Linux run by themselves.
        case notAProgram = "app.not-a-program"
        /// A library or the loader that it names is not there.
        case missingLibrary = "app.missing-library"
        /// A file cannot be read, or has a place that cannot be.
        case unusableFile = "app.unusable-file"
    }

    public let code: Code
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
