import SettingsFloppy

/// One generation of somebody's settings.
public struct SettingsGeneration: Equatable, Sendable {
    public let number: UInt64
    public let schema: SettingsSchema
    /// What was set, and nothing else.
    public let settings: SettingsValue
    public let writtenSeconds: UInt64
    /// Until when it must be confirmed; nil once it is.
    public let deadlineSeconds: UInt64?

    /// With every default.
    public var completed: SettingsValue { schema.completed(settings) }
}

/// What is known about a generation without looking into it.
public struct GenerationSummary: Equatable, Sendable {
    public enum State: String, Sendable {
        /// It counts.
        case current
        /// It counts until its time is over, unless somebody confirms it.
        case pending
        /// Nobody confirmed it in time.
        case expired
        case past
    }

    public let number: UInt64
    public let schemaVersion: UInt32
    public let writtenSeconds: UInt64
    public let state: State
    /// A guest asked for it, and nobody on this side.
    public let isGuests: Bool
}
