from medsr_course.networks.training.weights import main

main()
