/// How grave a line of the log is, or from which gravity on lines are written.
public enum LogLevel: Int, Sendable {
    case off, error, warning, info, debug, trace

    /// Capital and small letters are the same.
    public init?(name: String) {
        switch String(decoding: name.utf8.map { $0 >= 0x41 && $0 <= 0x5a ? $0 | 0x20 : $0 }, as: UTF8.self) {
        case "off": self = .off
        case "error": self = .error
        case "warn", "warning": self = .warning
        case "info": self = .info
        case "debug": self = .debug
        case "trace": self = .trace
        default: return nil
        }
    }

    var mark: String {
        switch self {
        case .off: "OFF"
        case .error: "ERROR"
        case .warning: "WARN"
        case .info: "INFO"
        case .debug: "DEBUG"
        case .trace: "TRACE"
        }
    }
}
