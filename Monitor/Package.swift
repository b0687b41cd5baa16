// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableExperimentalFeature("Lifetimes"),
]

/// One module of the monitor: what it may import, in the order of the house (downwards only).
func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// The tests of one module.
func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.byName(name: name)] + dependencies, swiftSettings: settings)
}

let package = Package(
    name: "Monitor",
    products: [
        .library(name: "CLinux", targets: ["CLinux"]),
        .library(name: "LinuxCalls", targets: ["LinuxCalls"]),
        .library(name: "WireFormats", targets: ["WireFormats"]),
        .library(name: "Netlink", targets: ["Netlink"]),
        .library(name: "GuestMemory", targets: ["GuestMemory"]),
        .library(name: "KVMHost", targets: ["KVMHost"]),
        .library(name: "MachineConfiguration", targets: ["MachineConfiguration"]),
        .library(name: "VirtioTestSupport", targets: ["VirtioTestSupport"]),
        .library(name: "BootTestSupport", targets: ["BootTestSupport"]),
        .library(name: "APITestSupport", targets: ["APITestSupport"]),
        .executable(name: "swiftlet-vmm", targets: ["swiftlet-vmm"]),
        .executable(name: "swiftlet-jailer", targets: ["swiftlet-jailer"]),
        .executable(name: "jail-recorder", targets: ["jail-recorder"]),
    ],
    targets: [
        .target(name: "CLinux"),
        module("LinuxCalls", ["CLinux"]),
        tests("LinuxCalls"),
        module("WireFormats", []),
        tests("WireFormats"),
        module("Netlink", ["LinuxCalls", "WireFormats"]),
        tests("Netlink", ["LinuxCalls", "WireFormats", "APITestSupport"]),
        module("GuestMemory", ["CLinux", "LinuxCalls"]),
        tests("GuestMemory", ["LinuxCalls"]),
        module("KVMHost", ["CLinux", "LinuxCalls", "GuestMemory"]),
        module("VirtioQueues", ["LinuxCalls", "GuestMemory"]),
        .target(
            name: "VirtioTestSupport",
            dependencies: [
                "LinuxCalls", "GuestMemory", "VirtioQueues", "SharedFolders", "VirtioDevices", "LegacyDevices",
                "Snapshots",
            ],
            path: "Tests/TestSupport/VirtioTestSupport", swiftSettings: settings),
        tests("VirtioQueues", ["GuestMemory", "VirtioTestSupport"]),
        module("SharedFolders", ["CLinux", "LinuxCalls", "GuestMemory"]),
        tests("SharedFolders", ["LinuxCalls", "GuestMemory", "VirtioTestSupport"]),
        module("MetadataService", ["LinuxCalls", "WireFormats"]),
        tests("MetadataService", ["LinuxCalls", "WireFormats", "APITestSupport"]),
        module(
            "VirtioDevices",
            ["CLinux", "LinuxCalls", "GuestMemory", "VirtioQueues", "SharedFolders", "MetadataService"]),
        tests(
            "VirtioDevices",
            [
                "CLinux", "LinuxCalls", "WireFormats", "GuestMemory", "VirtioQueues", "SharedFolders",
                "MetadataService", "VirtioTestSupport", "APITestSupport",
            ]),
        module("LegacyDevices", ["CLinux", "LinuxCalls"]),
        tests("LegacyDevices", ["LinuxCalls"]),
        module("GuestBoot", ["LinuxCalls", "GuestMemory"]),
        .target(
            name: "BootTestSupport", dependencies: ["LinuxCalls", "GuestMemory", "GuestBoot"],
            path: "Tests/TestSupport/BootTestSupport", swiftSettings: settings),
        tests("GuestBoot", ["LinuxCalls", "GuestMemory", "BootTestSupport", "VirtioTestSupport"]),
        module(
            "Snapshots",
            [
                "LinuxCalls", "WireFormats", "GuestMemory", "KVMHost", "VirtioQueues", "VirtioDevices",
                "LegacyDevices",
            ]),
        tests(
            "Snapshots",
            ["LinuxCalls", "GuestMemory", "KVMHost", "LegacyDevices", "VirtioDevices", "VirtioQueues", "WireFormats"]),
        module("Jail", ["CLinux", "LinuxCalls"]),
        tests("Jail", ["CLinux", "LinuxCalls"]),
        .executableTarget(
            name: "jail-recorder", dependencies: ["CLinux", "LinuxCalls", "Jail"], path: "Tests/jail-recorder",
            swiftSettings: settings),
        module("Identity", []),
        module("Jailer", ["Identity", "LinuxCalls"]),
        tests("Jailer", ["LinuxCalls"]),
        module("MachineConfiguration", ["WireFormats"]),
        tests("MachineConfiguration"),
        module(
            "Machine",
            [
                "CLinux", "LinuxCalls", "GuestMemory", "KVMHost", "VirtioQueues", "SharedFolders", "VirtioDevices",
                "LegacyDevices", "GuestBoot", "Jail", "MachineConfiguration", "MetadataService", "Snapshots",
            ]),
        tests(
            "Machine", ["LinuxCalls", "GuestMemory", "MachineConfiguration", "BootTestSupport", "Snapshots", "KVMHost"]),
        module("MonitorAPI", ["Identity", "LinuxCalls", "WireFormats", "MachineConfiguration", "MetadataService"]),
        .target(
            name: "APITestSupport",
            dependencies: [
                "LinuxCalls", "MachineConfiguration", "MetadataService", "MonitorAPI", "Netlink", "WireFormats",
            ],
            path: "Tests/TestSupport/APITestSupport", swiftSettings: settings),
        tests(
            "MonitorAPI", ["LinuxCalls", "WireFormats", "MachineConfiguration", "MetadataService", "APITestSupport"]),
        .executableTarget(
            name: "swiftlet-vmm",
            dependencies: [
                "Identity", "LinuxCalls", "Jail", "Machine", "MachineConfiguration", "MetadataService", "MonitorAPI",
                "Snapshots", "VirtioDevices", "WireFormats",
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "swiftlet-jailer", dependencies: ["Identity", "Jailer", "LinuxCalls"], swiftSettings: settings),
    ]
)
