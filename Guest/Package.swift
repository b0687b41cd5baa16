// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
    name: "Guest",
    products: [
        .library(name: "AgentProtocol", targets: ["AgentProtocol"]),
        .library(name: "FileTransfer", targets: ["FileTransfer"]),
        .library(name: "SettingsFloppy", targets: ["SettingsFloppy"]),
        .library(name: "AgentTestSupport", targets: ["AgentTestSupport"]),
        .executable(name: "swiftlet-agent", targets: ["swiftlet-agent"]),
    ],
    dependencies: [.package(path: "../Monitor")],
    targets: [
        .target(
            name: "AgentProtocol", dependencies: [.product(name: "WireFormats", package: "Monitor")],
            swiftSettings: settings),
        .target(
            name: "FileTransfer", dependencies: ["AgentProtocol", .product(name: "LinuxCalls", package: "Monitor")],
            swiftSettings: settings),
        .target(
            name: "SettingsFloppy", dependencies: [.product(name: "WireFormats", package: "Monitor")],
            swiftSettings: settings),
        .target(
            name: "Agent",
            dependencies: [
                "AgentProtocol", "FileTransfer", .product(name: "LinuxCalls", package: "Monitor"),
                .product(name: "WireFormats", package: "Monitor"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "swiftlet-agent", dependencies: ["Agent", .product(name: "LinuxCalls", package: "Monitor")],
            swiftSettings: settings),
        .target(
            name: "AgentTestSupport", dependencies: ["AgentProtocol", "SettingsFloppy"],
            path: "Tests/TestSupport/AgentTestSupport",
            swiftSettings: settings),
        .testTarget(
            name: "AgentProtocolTests",
            dependencies: ["AgentProtocol", "AgentTestSupport", .product(name: "WireFormats", package: "Monitor")],
            swiftSettings: settings),
        .testTarget(
            name: "SettingsFloppyTests", dependencies: ["SettingsFloppy", "AgentTestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "AgentTests",
            dependencies: [
                "Agent", "AgentProtocol", "swiftlet-agent", .product(name: "LinuxCalls", package: "Monitor"),
            ],
            swiftSettings: settings),
    ]
)
